"""Every lease rated before has its whole total at its one price."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0005_price_tally"),
    ]

    operations = [
        migrations.RunSQL(
            sql="""
                INSERT INTO billing_pricetally (price_id, card_seconds, exact_numerator,
                    exact_denominator, gross_minor, vat_minor, fee_minor)
                SELECT p.id, t.card_seconds, t.exact_numerator, t.exact_denominator,
                       t.gross_minor, t.vat_minor, t.fee_minor
                FROM billing_leasetally t JOIN marketplace_leaseprice p ON p.lease_id = t.lease_id
                WHERE t.rated_until IS NOT NULL
            """,
            # As it was, for leases that have had one price.
            reverse_sql="""
                UPDATE billing_leasetally t SET card_seconds = s.card_seconds,
                    exact_numerator = s.exact_numerator, exact_denominator = s.exact_denominator,
                    vat_minor = s.vat_minor, fee_minor = s.fee_minor
                FROM billing_pricetally s JOIN marketplace_leaseprice p ON p.id = s.price_id
                WHERE p.lease_id = t.lease_id
            """,
        ),
    ]
