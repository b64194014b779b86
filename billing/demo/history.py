"""Sixty days of a pool: listed, sold, delivered, metered and left, by the product's own verbs.

A pool is played in one transaction, in order of time: its clock never goes back, and the
running workers see nothing of it until it has reached the present.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction

from billing import checkout, draws, ledger
from billing.demo.catalogue import OWN_DEALS, DemoPool, OwnDeal
from billing.demo.people import SEED
from inventory import capacity, metering, provisioning
from inventory.actors import Actor
from inventory.errors import DomainError
from inventory.models import Allocation, Instance, Organisation, Pool
from inventory.organisations import ROLE_SCOPES
from inventory.periods import Period, floor_hour
from marketplace import floors, leases, listings, money_text, offers
from marketplace.asking import PriceInput, TermsInput
from marketplace.models import Lease, Listing
from marketplace.offers import OfferClaim

CURRENCY = "CNY"
DAYS = 60
AHEAD_DAYS = 45  # how far the listings reach into the future
LENGTHS_HOURS = (24, 72, 168, 336, 720, 720, 1080)
# The past is delivered at once; from now on a look at the console shows machines on their way.
PAST_ENGINE = {"provision_seconds": 0, "release_seconds": 0}
ENGINE = {"provision_seconds": 20, "release_seconds": 10}
GRID = timedelta(hours=6)
STEP = timedelta(seconds=20)  # between two looks of the reconcile loop
MOST_STEPS = 60
COSTS = (
    ("power_micro", 18),
    ("depreciation_micro", 34),
    ("network_micro", 6),
    ("operations_micro", 7),
)


@dataclass(order=True)
class Event:
    at: datetime
    order: int
    act: Callable[[datetime], object] = field(compare=False)


class PoolHistory:
    """One pool's past, played once."""

    def __init__(
        self,
        *,
        plan: DemoPool,
        pool: Pool,
        tenants: list[Organisation],
        own_tenant: Organisation,
        now: datetime,
        seed: int,
    ) -> None:
        self.plan, self.pool, self.tenants, self.now = plan, pool, tenants, now
        self.own_tenant = own_tenant
        self.start = floor_hour(now).replace(hour=0) - timedelta(days=DAYS)
        self.rng = random.Random(f"{seed}:{plan.name}:history")
        self.agenda: list[Event] = []
        self.numbers = itertools.count()
        self.deal_count = 0

    def play(self) -> int:
        """The pool has its past; returns how many deals it holds. Not idempotent."""
        with transaction.atomic(), capacity.replaying():
            self._lock_purses()
            self._set_engine(PAST_ENGINE)
            self.listing = self._list()
            for deal in OWN_DEALS.get(self.plan.name, ()):
                self._plan_own(deal)
            for at in self._arrivals():
                self._put(at, self._arrive)
            for day in range(1, DAYS + 1):
                self._put(
                    self.start + timedelta(days=day, minutes=20),
                    lambda at: metering.sweep(at=at),
                )
            while self.agenda and self.agenda[0].at <= self.now:
                event = heapq.heappop(self.agenda)
                event.act(event.at)
            metering.sweep(at=self.now)
            self._set_engine(ENGINE)
        return self.deal_count

    def _lock_purses(self) -> None:
        """Every row its deals will lock, in the order in which the workers lock them."""
        tenants = [*self.tenants, *([self.own_tenant] if self.plan.name in OWN_DEALS else [])]
        rows = Organisation.objects.filter(pk__in=[row.pk for row in tenants])
        list(rows.select_for_update(of=("self",), no_key=True).order_by("pk"))
        provider = self.pool.provider
        codes = {code for row in tenants for code in draws.accounts(row, provider, CURRENCY)}
        ledger.lock(sorted(codes))

    def _set_engine(self, options: dict[str, int]) -> None:
        self.pool.driver_options = options
        self.pool.save(update_fields=["driver_options"])

    def _put(self, at: datetime, act: Callable[[datetime], object]) -> None:
        heapq.heappush(self.agenda, Event(at, next(self.numbers), act))

    def _plan_own(self, deal: OwnDeal) -> None:
        """Before anybody else asks, so that it always fits; what lapses or is held, far ahead."""
        today = self.start + timedelta(days=DAYS)
        starts_at = today + timedelta(days=deal.start)
        orders_at = {"lapsed": self.now - timedelta(hours=5), "held": self.now}.get(
            deal.outcome, self.start + timedelta(minutes=5)
        )
        self._put(
            orders_at,
            lambda at: self._order(
                tenant=self.own_tenant,
                units=deal.units,
                starts_at=starts_at,
                length=timedelta(days=deal.days),
                outcome=deal.outcome,
                at=at,
            ),
        )

    def _list(self) -> Listing:
        provider = _owner(self.pool.provider)
        micro = money_text.parse_price(self.plan.price)
        hourly = (
            micro if self.plan.basis == "card_hour" else micro // (730 * self.pool.cards_per_node)
        )
        floors.set_floor(
            pool_id=self.pool.pk,
            **{name: hourly * share // 100 for name, share in COSTS},
            currency=CURRENCY,
            at=self.start,
            actor=provider,
        )
        units = (self.plan.nodes - self.pool.spare_count) * self.pool.units_per_node
        return listings.publish(
            pool_id=self.pool.pk,
            unit_count=max(1, int(units * self.plan.listed_share)),
            sellable=Period(self.start, self.start + timedelta(days=DAYS + AHEAD_DAYS)),
            price=PriceInput(
                currency=CURRENCY,
                basis=self.plan.basis,
                amount_micro=micro,
                schedule=self.plan.schedule,
            ),
            terms=TermsInput(
                minimum_hours=6,
                start_grid_seconds=self.plan.grid_seconds,
                cancellation=((168, 10_000), (24, 8_000), (0, 5_000)),
            ),
            at=self.start,
            actor=provider,
        )

    def _arrivals(self) -> Iterator[datetime]:
        """Instants of requests, so many that about the planned share gets sold."""
        units = self.plan.nodes * self.pool.units_per_node * self.plan.listed_share
        mean_units = max(1.0, units / self.plan.parts)
        mean_hours = sum(LENGTHS_HOURS) / len(LENGTHS_HOURS)
        count = int(units * DAYS * 24 * self.plan.demand * 1.35 / (mean_units * mean_hours))
        for _ in range(max(3, count)):
            yield self.start + timedelta(minutes=self.rng.randrange(10, DAYS * 24 * 60))

    def _arrive(self, at: datetime) -> None:
        """Somebody wants units; what does not fit is refused, as in life."""
        largest = max(1, self.listing.block.unit_count * 2 // self.plan.parts)
        units = min(largest, max(1, int(self.rng.expovariate(1 / max(1.0, largest / 2)))))
        if self.plan.nodes > 16 and self.pool.sells_whole_nodes and units > 4:
            units -= units % 4
        starts_at = _ceil(at + timedelta(hours=self.rng.choice((1, 6, 24, 72))), GRID)
        length = timedelta(hours=self.rng.choice(LENGTHS_HOURS))
        tenant = self.rng.choice(self.tenants)
        chance = self.rng.random()
        self._order(
            tenant=tenant,
            units=units,
            starts_at=starts_at,
            length=length,
            outcome="lapsed" if chance < 0.04 else "given back" if chance < 0.07 else "kept",
            at=at,
        )

    def _order(
        self,
        *,
        tenant: Organisation,
        units: int,
        starts_at: datetime,
        length: timedelta,
        outcome: str,
        at: datetime,
    ) -> None:
        actor = _owner(tenant)
        try:
            with transaction.atomic():
                held = checkout.hold(
                    offer_token=self._offer(units, Period(starts_at, starts_at + length), at),
                    project_id=None,
                    at=at,
                    actor=actor,
                )
                if outcome in ("kept", "cancelled"):
                    checkout.confirm(
                        reservation_public_id=held.public_id,
                        at=at + timedelta(minutes=2),
                        actor=actor,
                    )
        except DomainError:
            return

        def give_back(at: datetime) -> None:
            checkout.cancel(
                reservation_public_id=held.public_id, at=at, actor=actor, reason="plans changed"
            )

        if outcome == "lapsed":
            self._put(at + timedelta(minutes=16), lambda at: checkout.expire_due(at=at, limit=100))
        elif outcome == "given back":
            self._put(at + timedelta(minutes=3), give_back)
        elif outcome == "cancelled":
            self._put(starts_at - timedelta(hours=30), give_back)
        elif outcome == "kept":
            self.deal_count += 1
            for edge in (starts_at, starts_at + length):
                self._put(edge, lambda at: self._reconcile(held.allocation_id, at))

    def _offer(self, units: int, period: Period, at: datetime) -> str:
        price, terms = self.listing.prices.get(version=1), self.listing.terms.get(version=1)
        return offers.sign(
            OfferClaim(
                listing_id=self.listing.public_id,
                price_id=price.public_id,
                terms_id=terms.public_id,
                unit_count=units,
                period=period,
                expires_at=at + timedelta(minutes=10),
            )
        )

    def _reconcile(self, allocation_id: int, at: datetime) -> None:
        """The reconcile loop for one allocation, until it waits for its end or is over."""
        lease_id = Lease.objects.values_list("pk", flat=True).get(allocation_id=allocation_id)
        for number in range(MOST_STEPS):
            instant = at + number * STEP
            if instant > self.now:
                return
            provisioning.step_allocation(allocation_id=allocation_id, at=instant)
            for instance_id in self._moving(allocation_id):
                provisioning.step_instance(instance_id=instance_id, at=instant)
            leases.follow(lease_id=lease_id, at=instant)
            row = Allocation.objects.get(pk=allocation_id)
            rests = row.state == Allocation.State.ACTIVE and instant < Period.of(row.period).end
            if rests or Allocation.LIFECYCLE.is_final(row.state):
                return

    @staticmethod
    def _moving(allocation_id: int) -> list[int]:
        rows = Instance.objects.filter(allocation_id=allocation_id, next_step_at__isnull=False)
        moving = rows.exclude(state__in=[Instance.State.ACTIVE, Instance.State.RELEASED])
        fresh = Instance.objects.filter(allocation_id=allocation_id, next_step_at__isnull=True)
        planned = fresh.filter(state__in=[Instance.State.PLANNED, Instance.State.RELEASING])
        return [*moving.values_list("pk", flat=True), *planned.values_list("pk", flat=True)]


def _owner(organisation: Organisation) -> Actor:
    """The organisation acting for itself, as its owner would."""
    return Actor(
        kind="system",
        label=SEED.label,
        organisation_id=organisation.pk,
        scopes=ROLE_SCOPES["owner"],
    )


def _ceil(instant: datetime, grid: timedelta) -> datetime:
    day = instant.replace(hour=0, minute=0, second=0, microsecond=0)
    steps = -((day - instant) // grid)
    return day + steps * grid
