"""Leases confirmed before have had one price from their first hour on."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0010_lease_price"),
    ]

    operations = [
        migrations.RunSQL(
            sql="""
                INSERT INTO marketplace_leaseprice
                    (lease_id, from_at, price_id, discount_bps, created_at)
                SELECT id, date_trunc('hour', lower(period), 'UTC'), price_id, discount_bps,
                       created_at
                FROM marketplace_lease ORDER BY id
            """,
            reverse_sql=migrations.RunSQL.noop,  # the table goes with the step before
        ),
    ]
