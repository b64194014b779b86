"""The table of Django's database cache: what every web process must count together."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0002_agreed_columns")]

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
        )
    ]
