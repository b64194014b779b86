"""Quotes of changes, and the charges and movements that changes make."""

import django.contrib.postgres.fields.ranges
from django.db import migrations, models

import inventory.identifiers


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0002_ledger_rules"),
    ]

    operations = [
        migrations.CreateModel(
            name="Quote",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("period", django.contrib.postgres.fields.ranges.DateTimeRangeField()),
                ("gross_minor", models.BigIntegerField()),
                ("due_minor", models.BigIntegerField()),
                ("pay_minor", models.BigIntegerField(default=0)),
                ("refund_minor", models.BigIntegerField(default=0)),
                ("share_bps", models.PositiveIntegerField(default=0)),
                ("kept_gross_minor", models.BigIntegerField(default=0)),
                ("kept_vat_minor", models.BigIntegerField(default=0)),
                ("kept_fee_minor", models.BigIntegerField(default=0)),
                ("kept_provider_minor", models.BigIntegerField(default=0)),
                ("compensation_minor", models.BigIntegerField(default=0)),
                (
                    "public_id",
                    inventory.identifiers.PublicIdField(editable=False, prefix="cqt", unique=True),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("cancel", "cancel before the start"),
                            ("extend", "extend"),
                            ("leave", "leave early"),
                            ("withdraw", "withdraw the lease"),
                        ],
                        max_length=8,
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=200)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("accepted_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.AlterField(
            model_name="charge",
            name="kind",
            field=models.CharField(
                choices=[
                    ("usage", "usage"),
                    ("cancellation", "cancellation"),
                    ("leaving", "leaving early"),
                    ("compensation", "compensation"),
                ],
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="ledgertransaction",
            name="kind",
            field=models.CharField(
                choices=[
                    ("bank_receipt_recorded", "Bank Receipt Recorded"),
                    ("bank_receipt_approved", "Bank Receipt Approved"),
                    ("bank_receipt_rejected", "Bank Receipt Rejected"),
                    ("deal_funded", "Deal Funded"),
                    ("usage_charged", "Usage Charged"),
                    ("deal_cancelled", "Deal Cancelled"),
                    ("deal_extended", "Deal Extended"),
                    ("deal_shortened", "Deal Shortened"),
                    ("deal_closed", "Deal Closed"),
                    ("receivable_cleared", "Receivable Cleared"),
                    ("settled", "Settled"),
                    ("reversed", "Reversed"),
                ],
                max_length=40,
            ),
        ),
    ]
