"""What the runtime role may change of the deal; every other table is written once."""

from django.db import migrations

from inventory import grants


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0002_rules")]

    operations = [
        grants.give(
            {
                "marketplace_cache": "UPDATE, DELETE",
                "django_session": "UPDATE, DELETE",
                "marketplace_listing": "UPDATE (state)",
                "marketplace_reservation": "UPDATE (state, confirmed_at, expired_at,"
                " cancelled_at, committed_minor, committed_card_seconds, decision, decided_at)",
                "marketplace_lease": "UPDATE (state, end_reason, active_at, ending_at, ended_at,"
                " failed_at, cancelled_at, closed_at, period, gross_minor, due_minor,"
                " amendment_id, warned_of, end_evidence)",
                "marketplace_idempotencyrecord": "DELETE",
                "marketplace_commitment": "DELETE",
                "marketplace_quota": "UPDATE (limit_minor, limit_card_hours, set_at), DELETE",
                "marketplace_amendment": "UPDATE (state, child_id, provider_signed_by,"
                " provider_signed_at, tenant_signed_by, tenant_signed_at, signed_at, declined_at,"
                " withdrawn_at, expired_at)",
                "marketplace_basket": "UPDATE (state, confirmed_at, expired_at, cancelled_at)",
                "marketplace_case": "UPDATE (assignee, closed_at, escalated_at, respond_by,"
                " state)",
                "marketplace_channel": "UPDATE (removed_at, state, topics)",
                "marketplace_delivery": "UPDATE (attempt_count, claim_token, claimed_until,"
                " last_error, next_at, sent_at, state)",
                "marketplace_incident": "UPDATE (cause, mitigated_at, resolved_at, state)",
                "marketplace_notifiedmark": "UPDATE (last_id, last_xid)",
                "marketplace_idlenotice": "UPDATE (state, kept_at, over_at)",
            }
        ),
    ]
