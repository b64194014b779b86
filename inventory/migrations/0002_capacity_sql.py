"""Partitioned tables, capacity functions, and what the runtime role may not do."""

from pathlib import Path

from django.db import migrations

from inventory import grants

SQL = Path(__file__).resolve().parent.parent / "sql"


def run(name: str) -> migrations.RunSQL:
    # psycopg reads the text as it stands: there are no parameters in it.
    return migrations.RunSQL((SQL / f"{name}.sql").read_text(encoding="utf-8"), elidable=False)


class Migration(migrations.Migration):
    dependencies = [("inventory", "0001_initial")]

    operations = [
        run("tables"),
        run("partitions"),
        migrations.RunSQL(
            "SELECT ensure_partitions(now() - interval '24 months', now() + interval '24 months')"
        ),
        run("sweeps"),
        run("claims"),
        run("blocks"),
        run("changes"),
        run("bindings"),
        run("externals"),
        run("outages"),
        # Written by capacity's functions alone.
        grants.read_only(
            "inventory_poollock",
            "inventory_poolversion",
            "inventory_poolevent",
            "inventory_block",
            "inventory_allocation",
            "inventory_claim",
            "inventory_binding",
            "inventory_outage",
        ),
        # What else may change; every other table of ours is written once.
        grants.give(
            {
                "inventory_user": "UPDATE (password, last_login, name, language, is_active)",
                "inventory_organisation": "UPDATE (state)",
                "inventory_membership": "DELETE",
                "inventory_apikey": "UPDATE (revoked_at, last_used_at)",
                "inventory_chip": "UPDATE",
                "inventory_fabric": "UPDATE (proved_node_count, proved_on_date)",
                "inventory_pool": "UPDATE (state, driver_options)",
                "inventory_node": "UPDATE (hostname, rack, leaf, card_uuids, driver_version,"
                " runtime_version, firmware_version)",
                "inventory_allocation": "UPDATE (state, active_at, ended_at, failed_at,"
                " failure_code, claim_token, claimed_until, next_step_at)",
                "inventory_instance": "UPDATE (state, engine_reference, attempt_count, deadline_at,"
                " next_step_at, claim_token, claimed_until, last_error, active_at, releasing_at,"
                " released_at)",
                "inventory_credential": "UPDATE (ciphertext, revealed_at, revoked_at)",
                "inventory_meteringcursor": "UPDATE (metered_until, corrected_since)",
                "inventory_fakemachine": "UPDATE, DELETE",
            }
        ),
        grants.rules_always_hold(),
    ]
