"""A pool's events are found by version: no index on the pool alone leads elsewhere."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("inventory", "0010_sweep_reads_the_index")]

    operations = [
        migrations.AlterField(
            model_name="poolevent",
            name="pool",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="events",
                to="inventory.pool",
            ),
        ),
    ]
