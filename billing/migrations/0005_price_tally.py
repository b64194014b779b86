"""What a lease has been charged is counted and rounded by price."""

import django.db.models.deletion
from django.db import migrations, models

from inventory import grants


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0004_quotes_of_leases"),
        ("marketplace", "0011_first_lease_prices"),
    ]

    operations = [
        migrations.CreateModel(
            name="PriceTally",
            fields=[
                (
                    "price",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="tally",
                        serialize=False,
                        to="marketplace.leaseprice",
                    ),
                ),
                ("card_seconds", models.BigIntegerField(default=0)),
                (
                    "exact_numerator",
                    models.DecimalField(decimal_places=0, default=0, max_digits=80),
                ),
                (
                    "exact_denominator",
                    models.DecimalField(decimal_places=0, default=1, max_digits=80),
                ),
                ("gross_minor", models.BigIntegerField(default=0)),
                ("vat_minor", models.BigIntegerField(default=0)),
                ("fee_minor", models.BigIntegerField(default=0)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("exact_denominator__gt", 0)),
                        name="price_tally_denominator_positive",
                    )
                ],
            },
        ),
        grants.give(
            {
                "billing_pricetally": "UPDATE (card_seconds, exact_numerator,"
                " exact_denominator, gross_minor, vat_minor, fee_minor)",
            }
        ),
    ]
