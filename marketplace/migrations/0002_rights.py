"""The table of Django's database cache, and what the runtime role may change."""

from django.db import migrations

from inventory import grants


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0001_initial"),
        ("sessions", "0001_initial"),
    ]

    operations = [
        migrations.RunSQL(
            sql="""
                CREATE TABLE marketplace_cache (
                    cache_key varchar(255) PRIMARY KEY,
                    value text NOT NULL,
                    expires timestamptz NOT NULL
                );
                CREATE INDEX marketplace_cache_expires ON marketplace_cache (expires);
            """,
            reverse_sql="DROP TABLE marketplace_cache;",
        ),
        grants.give(
            {
                "marketplace_cache": "UPDATE, DELETE",
                "django_session": "UPDATE, DELETE",
                "marketplace_listing": "UPDATE (state)",
                "marketplace_reservation": "UPDATE (state, confirmed_at, expired_at, cancelled_at)",
                "marketplace_lease": "UPDATE (state, end_reason, active_at, ending_at, ended_at,"
                " failed_at, cancelled_at, closed_at)",
                "marketplace_idempotencyrecord": "DELETE",
            }
        ),
        grants.rules_always_hold(),
    ]
