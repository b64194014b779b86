"""A hold that is refused lets go of its pool at once."""

from pathlib import Path

from django.db import migrations

CLAIMS = Path(__file__).resolve().parent.parent / "sql" / "claims.sql"


class Migration(migrations.Migration):
    dependencies = [("inventory", "0007_open_ranges")]

    operations = [
        # All functions of the file as they are now; a new database has them already.
        migrations.RunSQL(
            CLAIMS.read_text(encoding="utf-8"), migrations.RunSQL.noop, elidable=False
        ),
    ]
