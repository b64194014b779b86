"""What moved to the tallies by price leaves the tally of the lease."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0006_tallies_by_price"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="leasetally", name="tally_denominator_positive"),
        *(
            migrations.RemoveField(model_name="leasetally", name=name)
            for name in (
                "card_seconds",
                "exact_denominator",
                "exact_numerator",
                "fee_minor",
                "vat_minor",
            )
        ),
    ]
