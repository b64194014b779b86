"""Caps on what may be committed: who set them, and how much of each is used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from inventory import identifiers, journal
from inventory.actors import Actor
from inventory.errors import Forbidden, Invalid, NotFound
from inventory.models import ApiKey, Organisation, Project
from marketplace import money, policy
from marketplace.models import Quota

Authority, Measure, Window = Quota.Authority, Quota.Measure, Quota.Window


@dataclass(frozen=True, slots=True)
class Limit:
    """What is capped, over which window, and at how much: of spend in minor units of a currency,
    of anything else in card-hours."""

    measure: str
    window: str
    currency: str = ""
    limit_minor: int | None = None
    limit_card_hours: int | None = None


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """A quota and what is committed under it now."""

    quota: Quota
    used_minor: int
    used_card_seconds: int


def put(
    *,
    organisation_id: int,
    limit: Limit,
    at: datetime,
    actor: Actor,
    project_id: int | None = None,
    api_key_id: int | None = None,
    reason: str = "",
) -> Quota:
    """The organisation, or one of its projects or keys, is capped from the next hold on.

    A quota of the same subject, measure and window that the same side set before gets the new
    limit. One below what is committed already takes nothing back. Journalled. Locks the
    organisation, so that no hold is being checked meanwhile. Idempotent but for the journal.
    Raises NotFound, Forbidden, Invalid, UnknownCurrency.
    """
    with transaction.atomic():
        organisation = _lock_organisation(organisation_id, actor)
        authority = _authority(organisation, actor)
        _check_limit(limit, authority)
        _check_subject(organisation, project_id, api_key_id, authority, actor)
        same = {
            "organisation": organisation,
            "project_id": project_id,
            "api_key_id": api_key_id,
            "authority": authority,
            "measure": limit.measure,
            "window": limit.window,
            "currency": limit.currency,
        }
        figures = {
            "limit_minor": limit.limit_minor,
            "limit_card_hours": limit.limit_card_hours,
            "set_at": at,
        }
        quota = Quota.objects.filter(**same).first()
        before = _figures(quota) if quota else {}
        if quota is None:
            quota = Quota.objects.create(**same, **figures, created_at=at)
        else:
            for name, value in figures.items():
                setattr(quota, name, value)
            quota.save(update_fields=list(figures))
        data = {"before": before, "now": _figures(quota), **_named(quota)}
        _record("quota.set", quota, data, at=at, actor=actor, reason=reason)
    return quota


def remove(*, quota_public_id: str, at: datetime, actor: Actor, reason: str = "") -> None:
    """Nothing is capped by it any more. Journalled. Locks the organisation.

    Raises NotFound, also where it was removed before; Forbidden where the other side set it.
    """
    with transaction.atomic():
        rows = Quota.objects.visible_to(actor)
        row = identifiers.find(rows, quota_public_id, "No such quota")
        organisation = _lock_organisation(row.organisation_id, actor)
        quota = Quota.objects.filter(pk=row.pk).first()
        if quota is None:
            raise NotFound("No such quota")
        if quota.authority != _authority(organisation, actor):
            raise Forbidden("Set by the operator: its own people change it")
        _refuse_own_key(quota.api_key_id, actor)
        data = {"before": _figures(quota), **_named(quota)}
        _record("quota.removed", quota, data, at=at, actor=actor, reason=reason)
        quota.delete()


def used(rows: Iterable[Quota], *, at: datetime) -> list[QuotaUse]:
    """Each quota with what is committed under it. One statement."""
    rows = list(rows)
    if not rows:
        return []
    caps = policy.caps_of([row.pk for row in rows], at=at)
    return [
        QuotaUse(row, cap.used_minor, cap.used_card_seconds)
        for row in rows
        for cap in [caps[row.public_id]]
    ]


def add_up() -> int:
    """What deals committed is one row for each month, project, key and currency again.

    Returns how many rows it took in. Whoever reads meanwhile sees them or their sum, and two
    sweeps at once take in each row once. Idempotent.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_ADD_UP)
        return int(cursor.fetchone()[0])


_ADD_UP = """
    WITH gone AS (
        DELETE FROM marketplace_commitment
        WHERE (tenant_id, coalesce(project_id, 0), api_key, currency, month) IN (
            SELECT tenant_id, coalesce(project_id, 0), api_key, currency, month
            FROM marketplace_commitment
            GROUP BY tenant_id, coalesce(project_id, 0), api_key, currency, month
            HAVING count(*) > 1)
        RETURNING *
    ), sums AS (
        INSERT INTO marketplace_commitment
            (tenant_id, project_id, api_key, currency, month, minor, card_seconds)
        SELECT tenant_id, project_id, api_key, currency, month, sum(minor), sum(card_seconds)
        FROM gone GROUP BY tenant_id, project_id, api_key, currency, month
        HAVING sum(minor) <> 0 OR sum(card_seconds) <> 0
    )
    SELECT count(*) FROM gone
"""


def _lock_organisation(organisation_id: int, actor: Actor) -> Organisation:
    rows = Organisation.objects.visible_to(actor)
    rows = rows.select_for_update(of=("self",), no_key=True)
    organisation = rows.filter(pk=organisation_id).first()
    if organisation is None:
        raise NotFound("No such organisation")
    return organisation


def _authority(organisation: Organisation, actor: Actor) -> str:
    own = actor.organisation_id == organisation.pk
    return Authority.OPERATOR if actor.sees_everything and not own else Authority.TENANT


def _check_limit(limit: Limit, authority: str) -> None:
    if limit.measure not in Measure.values:
        raise Invalid("A quota is of spend, of card-hours or of card-hours held")
    if limit.measure == Measure.HELD_CARD_HOURS:
        if authority != Authority.OPERATOR or limit.window != Window.AT_ONCE:
            raise Invalid(
                "What may be held at one time is set by the operator, for an organisation"
            )
    elif limit.window not in (Window.MONTH, Window.TOTAL):
        raise Invalid("A quota is of each calendar month, or of all deals")
    if limit.measure == Measure.SPEND:
        if not limit.currency or limit.limit_minor is None or limit.limit_card_hours is not None:
            raise Invalid("A quota of spend has a currency and a limit in minor units")
        money.exponent(limit.currency)
    elif limit.currency or limit.limit_card_hours is None or limit.limit_minor is not None:
        raise Invalid("A quota of card-hours has a limit in card-hours and no currency")


def _check_subject(
    organisation: Organisation,
    project_id: int | None,
    api_key_id: int | None,
    authority: str,
    actor: Actor,
) -> None:
    if project_id is None and api_key_id is None:
        return
    if authority == Authority.OPERATOR:
        raise Forbidden("The operator sets quotas of whole organisations")
    if project_id is not None and api_key_id is not None:
        raise Invalid("A quota is of an organisation, of one project or of one key")
    if project_id is not None:
        if not Project.objects.filter(pk=project_id, organisation=organisation).exists():
            raise NotFound("No such project")
    if api_key_id is not None:
        if not ApiKey.objects.filter(pk=api_key_id, organisation=organisation).exists():
            raise NotFound("No such key")
    _refuse_own_key(api_key_id, actor)


def _refuse_own_key(api_key_id: int | None, actor: Actor) -> None:
    """A key that could lift its own cap, or its maker's, would have none."""
    if api_key_id is None or actor.kind != "key":
        return
    key = ApiKey.objects.filter(public_id=actor.label).first()
    while key is not None:
        if key.pk == api_key_id:
            raise Forbidden("A key does not change the quotas that bind it")
        key = key.maker


def _figures(quota: Quota) -> dict[str, int]:
    if quota.limit_minor is not None:
        return {"limit_minor": quota.limit_minor}
    return {"limit_card_hours": quota.limit_card_hours or 0}


def _named(quota: Quota) -> dict[str, str]:
    named = {
        "organisation": quota.organisation.public_id,
        "authority": quota.authority,
        "measure": quota.measure,
        "window": quota.window,
        "currency": quota.currency,
        "project": quota.project.public_id if quota.project else "",
        "key": quota.api_key.public_id if quota.api_key else "",
    }
    return {name: value for name, value in named.items() if value}


def _record(
    event: str, quota: Quota, data: Mapping[str, object], *, at: datetime, actor: Actor, reason: str
) -> None:
    journal.record(
        event=event,
        object_id=quota.public_id,
        actor=actor,
        at=at,
        reason=reason,
        tenant_id=quota.organisation_id,
        data=dict(data),
    )
