"""What opens a pool's engine is kept with the pool, encrypted."""

from django.db import migrations, models

from inventory import grants


class Migration(migrations.Migration):
    dependencies = [("inventory", "0003_rights")]

    operations = [
        migrations.AddField(
            model_name="pool",
            name="engine_secret",
            field=models.BinaryField(blank=True, null=True),
        ),
        grants.give({"inventory_pool": "UPDATE (driver, engine_secret)"}),
    ]
