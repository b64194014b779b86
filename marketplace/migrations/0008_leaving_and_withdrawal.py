"""What leaving early gives back and what a provider's withdrawal costs, frozen with the terms."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0007_listing_rules"),
    ]

    # Terms published before say nothing about it: nothing comes back, nobody withdraws.
    operations = [
        migrations.AddField(
            model_name="termsversion", name="leaving", field=models.JSONField(default=list)
        ),
        migrations.AddField(
            model_name="termsversion", name="withdrawal", field=models.JSONField(default=list)
        ),
    ]
