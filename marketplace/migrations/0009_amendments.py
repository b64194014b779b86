"""Amendments of leases, and a lease that changes by a signed one only."""

import django.contrib.postgres.fields.ranges
import django.db.models.deletion
import django.db.models.expressions
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import inventory.identifiers
from inventory import grants


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0008_leaving_and_withdrawal"),
        ("inventory", "0002_capacity_sql"),
    ]

    operations = [
        migrations.CreateModel(
            name="Amendment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("period", django.contrib.postgres.fields.ranges.DateTimeRangeField()),
                ("gross_minor", models.BigIntegerField()),
                ("due_minor", models.BigIntegerField()),
                ("pay_minor", models.BigIntegerField(default=0)),
                ("refund_minor", models.BigIntegerField(default=0)),
                ("share_bps", models.PositiveIntegerField(default=0)),
                ("kept_gross_minor", models.BigIntegerField(default=0)),
                ("kept_vat_minor", models.BigIntegerField(default=0)),
                ("kept_fee_minor", models.BigIntegerField(default=0)),
                ("kept_provider_minor", models.BigIntegerField(default=0)),
                ("compensation_minor", models.BigIntegerField(default=0)),
                (
                    "public_id",
                    inventory.identifiers.PublicIdField(editable=False, prefix="amd", unique=True),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("extend", "extended by the terms"),
                            ("leave", "left early by the terms"),
                            ("withdraw", "withdrawn by the provider, by the terms"),
                            ("end", "another end"),
                            ("units", "more units"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "proposed_by",
                    models.CharField(
                        choices=[("provider", "provider"), ("tenant", "tenant")], max_length=8
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("proposed", "proposed"),
                            ("signed", "signed"),
                            ("declined", "declined"),
                            ("withdrawn", "taken back"),
                            ("expired", "expired"),
                        ],
                        default="proposed",
                        max_length=10,
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=200)),
                ("before_period", django.contrib.postgres.fields.ranges.DateTimeRangeField()),
                ("before_gross_minor", models.BigIntegerField()),
                ("before_due_minor", models.BigIntegerField()),
                ("added_units", models.PositiveIntegerField(blank=True, null=True)),
                ("added_from_at", models.DateTimeField(blank=True, null=True)),
                ("added_gross_minor", models.BigIntegerField(blank=True, null=True)),
                ("added_due_minor", models.BigIntegerField(blank=True, null=True)),
                ("provider_signed_by", models.CharField(blank=True, max_length=80)),
                ("provider_signed_at", models.DateTimeField(blank=True, null=True)),
                ("tenant_signed_by", models.CharField(blank=True, max_length=80)),
                ("tenant_signed_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("signed_at", models.DateTimeField(blank=True, null=True)),
                ("declined_at", models.DateTimeField(blank=True, null=True)),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True)),
                ("expired_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="lease",
            name="lease_as_agreed",
        ),
        migrations.AddField(
            model_name="lease",
            name="warned_of",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="lease",
            name="end_reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("completed", "completed"),
                    ("cancelled_by_tenant", "cancelled by the tenant"),
                    ("delivery_failed", "delivery failed"),
                    ("unpaid", "not paid for"),
                    ("left_early", "left early by the tenant"),
                    ("withdrawn_by_provider", "withdrawn by the provider"),
                ],
                max_length=24,
            ),
        ),
        migrations.AddField(
            model_name="amendment",
            name="child",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="added_by",
                to="marketplace.lease",
            ),
        ),
        migrations.AddField(
            model_name="amendment",
            name="lease",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="amendments",
                to="marketplace.lease",
            ),
        ),
        migrations.AddField(
            model_name="amendment",
            name="previous",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="marketplace.amendment",
            ),
        ),
        migrations.AddField(
            model_name="amendment",
            name="provider",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="inventory.organisation",
            ),
        ),
        migrations.AddField(
            model_name="amendment",
            name="tenant",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="inventory.organisation",
            ),
        ),
        migrations.AddField(
            model_name="lease",
            name="amendment",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="marketplace.amendment",
            ),
        ),
        migrations.AddIndex(
            model_name="amendment",
            index=models.Index(fields=["lease", "-id"], name="amendment_by_lease"),
        ),
        migrations.AddIndex(
            model_name="amendment",
            index=models.Index(
                condition=models.Q(("state", "proposed")),
                fields=["expires_at"],
                name="amendment_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="amendment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "signed"), _negated=True),
                    models.Q(
                        ("provider_signed_at__isnull", False),
                        ("tenant_signed_at__isnull", False),
                        models.Q(("provider_signed_by", ""), _negated=True),
                        models.Q(("tenant_signed_by", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="amendment_signed_by_both",
            ),
        ),
        migrations.AddConstraint(
            model_name="amendment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("compensation_minor__gte", 0),
                    ("due_minor__gte", 0),
                    ("gross_minor__gte", 0),
                    ("kept_gross_minor__gte", 0),
                    ("pay_minor__gte", 0),
                    ("refund_minor__gte", 0),
                ),
                name="amendment_amounts_not_negative",
            ),
        ),
        migrations.AddConstraint(
            model_name="amendment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "due_minor",
                        django.db.models.expressions.CombinedExpression(
                            django.db.models.expressions.CombinedExpression(
                                models.F("before_due_minor"), "+", models.F("pay_minor")
                            ),
                            "-",
                            models.F("refund_minor"),
                        ),
                    )
                ),
                name="amendment_moves_what_it_says",
            ),
        ),
        migrations.AddConstraint(
            model_name="amendment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("added_due_minor__gte", 0),
                        ("added_from_at__isnull", False),
                        ("added_gross_minor__gte", 0),
                        ("added_units__gte", 1),
                        ("kind", "units"),
                    ),
                    models.Q(
                        models.Q(("kind", "units"), _negated=True),
                        ("added_units__isnull", True),
                        ("child__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="amendment_says_what_it_adds",
            ),
        ),
        migrations.AddConstraint(
            model_name="amendment",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "proposed")),
                fields=("lease",),
                name="one_open_amendment",
            ),
        ),
        migrations.AddConstraint(
            model_name="amendment",
            constraint=models.UniqueConstraint(
                condition=models.Q(("previous__isnull", False), ("state", "signed")),
                fields=("previous",),
                name="one_amendment_follows_another",
            ),
        ),
        migrations.AddConstraint(
            model_name="amendment",
            constraint=models.UniqueConstraint(
                condition=models.Q(("previous__isnull", True), ("state", "signed")),
                fields=("lease",),
                name="one_first_amendment",
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="amendment",
            trigger=pgtrigger.compiler.Trigger(
                name="amendment_as_proposed",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."added_due_minor" IS DISTINCT FROM (NEW."added_due_minor") OR OLD."added_from_at" IS DISTINCT FROM (NEW."added_from_at") OR OLD."added_gross_minor" IS DISTINCT FROM (NEW."added_gross_minor") OR OLD."added_units" IS DISTINCT FROM (NEW."added_units") OR OLD."before_due_minor" IS DISTINCT FROM (NEW."before_due_minor") OR OLD."before_gross_minor" IS DISTINCT FROM (NEW."before_gross_minor") OR OLD."before_period" IS DISTINCT FROM (NEW."before_period") OR OLD."compensation_minor" IS DISTINCT FROM (NEW."compensation_minor") OR OLD."created_at" IS DISTINCT FROM (NEW."created_at") OR OLD."due_minor" IS DISTINCT FROM (NEW."due_minor") OR OLD."expires_at" IS DISTINCT FROM (NEW."expires_at") OR OLD."gross_minor" IS DISTINCT FROM (NEW."gross_minor") OR OLD."kept_fee_minor" IS DISTINCT FROM (NEW."kept_fee_minor") OR OLD."kept_gross_minor" IS DISTINCT FROM (NEW."kept_gross_minor") OR OLD."kept_provider_minor" IS DISTINCT FROM (NEW."kept_provider_minor") OR OLD."kept_vat_minor" IS DISTINCT FROM (NEW."kept_vat_minor") OR OLD."kind" IS DISTINCT FROM (NEW."kind") OR OLD."lease_id" IS DISTINCT FROM (NEW."lease_id") OR OLD."pay_minor" IS DISTINCT FROM (NEW."pay_minor") OR OLD."period" IS DISTINCT FROM (NEW."period") OR OLD."previous_id" IS DISTINCT FROM (NEW."previous_id") OR OLD."proposed_by" IS DISTINCT FROM (NEW."proposed_by") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."reason" IS DISTINCT FROM (NEW."reason") OR OLD."refund_minor" IS DISTINCT FROM (NEW."refund_minor") OR OLD."share_bps" IS DISTINCT FROM (NEW."share_bps") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id"))',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="0107dc7454ccc96ee3ed0dae5a6a57970255ae1e",
                    operation="UPDATE",
                    pgid="pgtrigger_amendment_as_proposed_123b2",
                    table="marketplace_amendment",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="amendment",
            trigger=pgtrigger.compiler.Trigger(
                name="amendment_decided_once",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition="WHEN (OLD.\"state\" IS DISTINCT FROM 'proposed')",
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="52814b20dcb5e294ccaf2132ea6429e9df4383a2",
                    operation="UPDATE",
                    pgid="pgtrigger_amendment_decided_once_405ad",
                    table="marketplace_amendment",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="amendment",
            trigger=pgtrigger.compiler.Trigger(
                name="amendment_lifecycle",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    declare="DECLARE _is_valid_transition BOOLEAN;",
                    func='SELECT CONCAT(OLD."state", \':\', NEW."state") = ANY(\'{proposed:signed,proposed:declined,proposed:withdrawn,proposed:expired}\'::text[]) INTO _is_valid_transition; IF (_is_valid_transition IS FALSE AND OLD."state" IS DISTINCT FROM NEW."state") THEN RAISE EXCEPTION \'pgtrigger: Invalid transition of field "state" from "%" to "%" on table %\', OLD."state", NEW."state", TG_TABLE_NAME; ELSE RETURN NEW; END IF;',
                    hash="d29f6d72ed66b62758fe9c181e27f2a69f86e2fa",
                    operation="UPDATE",
                    pgid="pgtrigger_amendment_lifecycle_e0db1",
                    table="marketplace_amendment",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="lease",
            trigger=pgtrigger.compiler.Trigger(
                name="lease_as_agreed",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."allocation_id" IS DISTINCT FROM (NEW."allocation_id") OR OLD."card_count" IS DISTINCT FROM (NEW."card_count") OR OLD."currency" IS DISTINCT FROM (NEW."currency") OR OLD."discount_bps" IS DISTINCT FROM (NEW."discount_bps") OR OLD."listing_id" IS DISTINCT FROM (NEW."listing_id") OR OLD."parent_id" IS DISTINCT FROM (NEW."parent_id") OR OLD."price_id" IS DISTINCT FROM (NEW."price_id") OR OLD."provider_id" IS DISTINCT FROM (NEW."provider_id") OR OLD."reservation_id" IS DISTINCT FROM (NEW."reservation_id") OR OLD."tenant_id" IS DISTINCT FROM (NEW."tenant_id") OR OLD."terms_id" IS DISTINCT FROM (NEW."terms_id") OR OLD."unit_count" IS DISTINCT FROM (NEW."unit_count"))',
                    func="RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;",
                    hash="72dec14d6cd46f22665eaf8d62d064fc790fa782",
                    operation="UPDATE",
                    pgid="pgtrigger_lease_as_agreed_36fbd",
                    table="marketplace_lease",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="lease",
            trigger=pgtrigger.compiler.Trigger(
                name="lease_as_amended",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    condition='WHEN (OLD."amendment_id" IS DISTINCT FROM (NEW."amendment_id") OR OLD."due_minor" IS DISTINCT FROM (NEW."due_minor") OR OLD."gross_minor" IS DISTINCT FROM (NEW."gross_minor") OR OLD."period" IS DISTINCT FROM (NEW."period"))',
                    func="\n    IF NOT EXISTS (\n        SELECT FROM marketplace_amendment a\n        WHERE a.id = NEW.amendment_id AND a.lease_id = NEW.id AND a.state = 'signed'\n          AND NEW.amendment_id IS DISTINCT FROM OLD.amendment_id\n          AND a.previous_id IS NOT DISTINCT FROM OLD.amendment_id\n          AND a.before_period = OLD.period AND a.period = NEW.period\n          AND a.before_gross_minor = OLD.gross_minor AND a.gross_minor = NEW.gross_minor\n          AND a.before_due_minor = OLD.due_minor AND a.due_minor = NEW.due_minor\n    ) THEN\n        RAISE EXCEPTION 'a lease changes by a signed amendment only';\n    END IF;\n    RETURN NEW;\n",
                    hash="f1cfe52c6e857a927f3dff2dbafc339f9ec4d197",
                    operation="UPDATE",
                    pgid="pgtrigger_lease_as_amended_08c9f",
                    table="marketplace_lease",
                    when="BEFORE",
                ),
            ),
        ),
        grants.give(
            {
                "marketplace_amendment": "UPDATE (state, child_id, provider_signed_by,"
                " provider_signed_at, tenant_signed_by, tenant_signed_at, signed_at, declined_at,"
                " withdrawn_at, expired_at)",
                "marketplace_lease": "UPDATE (period, gross_minor, due_minor, amendment_id,"
                " warned_of)",
            }
        ),
        grants.rules_always_hold(),
    ]
