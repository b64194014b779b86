"""A request's transaction begins with one statement."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0002_rights"),
    ]

    operations = [
        # psycopg reads the text as it stands: there are no parameters in it.
        migrations.RunSQL(
            (SQL / "entry.sql").read_text(encoding="utf-8"),
            "DROP FUNCTION entry_begin(text, text, bigint, bigint, text)",
        ),
    ]
