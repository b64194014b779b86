"""A hold in fewer statements, and events without checks and indexes that nobody needs."""

from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

SQL = Path(__file__).resolve().parent.parent / "sql"


def again(name: str) -> migrations.RunSQL:
    """The functions of a file as they are now; a new database has them already."""
    return migrations.RunSQL(
        (SQL / f"{name}.sql").read_text(encoding="utf-8"), migrations.RunSQL.noop, elidable=False
    )


def unchecked(name: str, to: str, *, null: bool = True, related_name: str = "+") -> migrations.AlterField:
    return migrations.AlterField(
        "poolevent",
        name,
        models.ForeignKey(
            null=null,
            on_delete=django.db.models.deletion.PROTECT,
            related_name=related_name,
            to=to,
            db_constraint=False,
            db_index=False,
        ),
    )


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0003_conversions"),
    ]

    operations = [
        migrations.RunSQL(
            "DROP FUNCTION IF EXISTS capacity_peak(bigint, tstzrange, timestamptz, bigint)",
            migrations.RunSQL.noop,
        ),
        again("sweeps"),
        again("claims"),
        again("blocks"),
        again("changes"),
        unchecked("pool", "inventory.pool", null=False, related_name="events"),
        unchecked("block", "inventory.block"),
        unchecked("claim", "inventory.claim"),
    ]
