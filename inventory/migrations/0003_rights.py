"""What the runtime role may change of the machines; every other table is written once."""

from django.db import migrations

from inventory import grants


class Migration(migrations.Migration):
    dependencies = [("inventory", "0002_rules")]

    operations = [
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
        grants.give(
            {
                "inventory_user": "UPDATE (password, last_login, name, language, is_active)",
                "inventory_organisation": "UPDATE (state)",
                "inventory_membership": "DELETE",
                "inventory_apikey": "UPDATE (revoked_at, last_used_at)",
                "inventory_chip": "UPDATE",
                "inventory_fabric": "UPDATE (proved_node_count, proved_on_date)",
                "inventory_pool": "UPDATE (state, driver_options, maintenance_notice_seconds)",
                "inventory_node": "UPDATE (hostname, rack, leaf, card_uuids, driver_version,"
                " runtime_version, firmware_version, framework_version)",
                "inventory_allocation": "UPDATE (state, active_at, ended_at, failed_at,"
                " failure_code, claim_token, claimed_until, next_step_at, suspended_at)",
                "inventory_instance": "UPDATE (state, engine_reference, attempt_count,"
                " deadline_at, next_step_at, claim_token, claimed_until, last_error, active_at,"
                " releasing_at, released_at, shut_at)",
                "inventory_credential": "UPDATE (ciphertext, revealed_at, revoked_at)",
                "inventory_meteringcursor": "UPDATE (metered_until, corrected_since)",
                "inventory_fakemachine": "UPDATE, DELETE",
                "inventory_telemetryhour": "UPDATE (recorded_at, sealed_at, seen_slots,"
                " unhealthy_slots, busy_slots, busy_permille_sum, memory_slots,"
                " memory_permille_sum, power_slots, power_watt_sum, temperature_max, last_error,"
                " error_slots, link_down_slots, slots, fact_slots, replica)",
                "inventory_telemetrysource": "UPDATE (replica_label, replica, replica_until,"
                " samples_per_second, query_url, query_secret, pulled_until, next_pull_at,"
                " claim_token, claimed_until, last_error, stored_count, repeated_count,"
                " unused_count, unknown_count, late_count, early_count, void_count, last_seen_at,"
                " closed_at)",
                "inventory_telemetrykey": "UPDATE (expires_at, revoked_at)",
                "inventory_seriesbinding": "UPDATE (removed_at)",
                "inventory_unknownseries": "UPDATE (labels, sample_count, last_seen_at), DELETE",
                "inventory_readingcursor": "UPDATE (read_until)",
                "inventory_meterdispute": "UPDATE (state, reason, evidence, decided_by_id,"
                " for_tenant_at, for_provider_at)",
                "inventory_nodehealth": "UPDATE (state, source, evidence, since, checked_at,"
                " cards, memory, outage_id)",
                "inventory_faultrate": "UPDATE (fault_count, card_seconds, per_million,"
                " low_per_million, high_per_million, counted_at)",
                "inventory_healthreport": "UPDATE (withdrawn_at)",
            }
        ),
    ]
