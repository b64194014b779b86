"""By which terms a provider is paid: versions, the newest of which the next settlement keeps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction

from billing.models import PayoutTerms
from inventory import journal
from inventory.actors import Actor
from inventory.errors import Invalid, NotFound
from inventory.models import Organisation
from marketplace import money

LATEST_DAYS = 90
LARGEST_MINIMUM_MINOR = 10**15
LARGEST_RESERVE_BPS = 5000
LONGEST_RESERVE_DAYS = 730


class TermsOutOfRange(Invalid):
    """A delay, minimum or reserve that no agreement would have."""

    code = "terms_out_of_range"
    title = "These payout terms are out of range"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a version says."""

    settle_after_days: int
    minimum_minor: int
    reserve_bps: int
    reserve_days: int
    needs_fapiao: bool
    method: str


def standard() -> Terms:
    """Where nothing else was agreed."""
    return Terms(
        settle_after_days=settings.SETTLE_AFTER_DAYS,
        minimum_minor=settings.PAYOUT_MINIMUM_MINOR,
        reserve_bps=settings.PAYOUT_RESERVE_BPS,
        reserve_days=settings.PAYOUT_RESERVE_DAYS if settings.PAYOUT_RESERVE_BPS else 0,
        needs_fapiao=settings.PAYOUT_NEEDS_FAPIAO,
        method=settings.PAYOUT_METHOD,
    )


def put(
    *,
    provider_id: int,
    currency: str,
    terms: Terms,
    reason: str,
    at: datetime,
    actor: Actor,
) -> PayoutTerms:
    """A new version of a provider's terms is in force for its settlements from now on.

    Settlements made before keep theirs. Idempotent: terms as they are make no version. Locks
    the provider's organisation. Raises TermsOutOfRange, UnknownCurrency, NotFound.
    """
    money.exponent(currency)
    _check(terms)
    with transaction.atomic():
        provider = lock_provider(provider_id)
        present = current(provider_ids=[provider_id], currency=currency).get(provider_id)
        if present is not None and facts(present) == terms:
            return present
        row = _insert(provider, currency, terms, present, reason, at)
        journal.record(
            event="payout_terms.set",
            object_id=row.public_id,
            actor=actor,
            at=at,
            reason=reason,
            provider_id=provider_id,
            data={"version": row.version, "currency": currency, **_data(terms)},
        )
    return row


def current(*, provider_ids: Iterable[int], currency: str) -> dict[int, PayoutTerms]:
    """The newest version of each provider that has one. One statement."""
    rows = PayoutTerms.objects.filter(provider_id__in=list(provider_ids), currency=currency)
    newest = rows.order_by("provider_id", "-version").distinct("provider_id")
    return {row.provider_id: row for row in newest}


def ensure(
    *, providers: Iterable[Organisation], currency: str, at: datetime
) -> dict[int, PayoutTerms]:
    """The terms of each of these locked providers; the standard ones become version 1."""
    wanted = list(providers)
    found = current(provider_ids=[row.pk for row in wanted], currency=currency)
    for provider in wanted:
        if provider.pk not in found:
            found[provider.pk] = _insert(provider, currency, standard(), None, "", at)
    return found


def shortest_delay() -> int:
    """The fewest days after a month's end that any terms in force ask for."""
    newest = PayoutTerms.objects.order_by("provider_id", "currency", "-version")
    delays = newest.distinct("provider_id", "currency").values_list("settle_after_days", flat=True)
    return min([standard().settle_after_days, *delays])


def outlook(*, provider_id: int, currency: str) -> Terms:
    """What the next settlement would be made by. Locks nothing, makes nothing."""
    found = current(provider_ids=[provider_id], currency=currency).get(provider_id)
    return standard() if found is None else facts(found)


def lock_provider(provider_id: int) -> Organisation:
    """Whoever settles with a provider, pays it or changes how it is paid stands here first.

    Raises NotFound.
    """
    return lock_providers([provider_id])[0]


def lock_providers(provider_ids: Iterable[int]) -> list[Organisation]:
    """In the order of ids. Raises NotFound where one is missing."""
    wanted = sorted(set(provider_ids))
    rows = Organisation.objects.select_for_update(of=("self",), no_key=True)
    found = list(rows.filter(pk__in=wanted).order_by("pk"))
    if len(found) < len(wanted):
        raise NotFound("No such provider")
    return found


def _insert(
    provider: Organisation,
    currency: str,
    terms: Terms,
    before: PayoutTerms | None,
    reason: str,
    at: datetime,
) -> PayoutTerms:
    row = PayoutTerms(
        provider=provider,
        currency=currency,
        version=before.version + 1 if before else 1,
        reason=reason[:200],
        created_at=at,
        **_data(terms),
    )
    row.save(force_insert=True)
    return row


def _check(terms: Terms) -> None:
    if not 0 <= terms.settle_after_days <= LATEST_DAYS:
        raise TermsOutOfRange("The delay lies between 0 and 90 days")
    if not 0 <= terms.minimum_minor <= LARGEST_MINIMUM_MINOR:
        raise TermsOutOfRange("The smallest payout is not negative, and not beyond all measure")
    if not 0 <= terms.reserve_bps <= LARGEST_RESERVE_BPS:
        raise TermsOutOfRange("The reserve lies between 0 and 5000 basis points")
    if not 0 <= terms.reserve_days <= LONGEST_RESERVE_DAYS:
        raise TermsOutOfRange("A reserve is kept for at most 730 days")
    if terms.reserve_bps and not terms.reserve_days:
        raise TermsOutOfRange("A reserve is kept for at least a day")
    if terms.method not in PayoutTerms.Method.values:
        raise TermsOutOfRange("A payout goes by bank or by Stripe")


def facts(row: PayoutTerms) -> Terms:
    """What a version says, without whose it is."""
    return Terms(
        settle_after_days=row.settle_after_days,
        minimum_minor=row.minimum_minor,
        reserve_bps=row.reserve_bps,
        reserve_days=row.reserve_days,
        needs_fapiao=row.needs_fapiao,
        method=row.method,
    )


def _data(terms: Terms) -> dict[str, int | bool | str]:
    return {name: getattr(terms, name) for name in Terms.__slots__}
