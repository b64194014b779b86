"""What the deal's tables refuse by themselves, and what Django has no model for."""

from pathlib import Path

from django.db import migrations

from inventory import grants

SQL = Path(__file__).resolve().parent.parent / "sql"


def run(name: str) -> migrations.RunSQL:
    # psycopg reads the text as it stands: there are no parameters in it.
    return migrations.RunSQL((SQL / f"{name}.sql").read_text(encoding="utf-8"))


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0001_initial")]

    operations = [
        # As `createcachetable` would make it; tests and production share one way to migrate.
        migrations.RunSQL(
            """
            CREATE TABLE marketplace_cache (
                cache_key varchar(255) PRIMARY KEY,
                value text NOT NULL,
                expires timestamptz NOT NULL
            );
            CREATE INDEX marketplace_cache_expires ON marketplace_cache (expires);
            """
        ),
        # A reference on a bank transfer names the end of a deal's id; see billing/references.py.
        migrations.RunSQL(
            """
            CREATE INDEX reservation_by_tail ON marketplace_reservation (right(public_id::text, 12));
            CREATE INDEX basket_by_tail ON marketplace_basket (right(public_id::text, 12));
            """
        ),
        migrations.RunSQL(
            "INSERT INTO marketplace_notifiedmark (id, last_xid, last_id) VALUES (1, '0', 0)"
        ),
        # Compressed already, or small: it is kept as it is.
        migrations.RunSQL(
            "ALTER TABLE marketplace_caseattachment ALTER content SET STORAGE EXTERNAL,"
            " ADD CONSTRAINT attachment_is_its_size CHECK (octet_length(content) = size)"
        ),
        run("entry"),
        grants.rules_always_hold(),
    ]
