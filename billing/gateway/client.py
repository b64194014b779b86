"""Calls to Stripe: checked before they go, and ended in one of four ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import stripe
from django.conf import settings
from django.db import connection
from stripe import params as shipped

from billing import fakestripe
from billing.gateway import contract, currencies, shapes
from billing.gateway.errors import GatewayOff, NotTaken, Refused, Unanswered

# Latencies of our calls are nobody else's business.
stripe.enable_telemetry = False
API_VERSION: str = stripe.api_version  # of the pinned SDK: 2026-10-28.endive
FAKE_KEY = "sk_test_fake"
PAGE = 100


@dataclass(frozen=True, slots=True)
class Operation:
    """A request that changes something: what it may say, how it is sent and found again."""

    parameters: Any
    send: Callable[[Any], Any]
    read: Callable[[shapes.Raw, shapes.Expand], Any]
    find: Callable[[Any, Mapping[str, Any], dict[str, Any]], Any]  # those it may be among
    expand: tuple[str, ...] = ()


def _by_time(service: Callable[[Any], Any]) -> Callable[[Any, Mapping[str, Any], Any], Any]:
    return lambda v1, _parameters, since: service(v1).list({**since, "limit": PAGE})


_LINE = ("balance_transaction",)
_CHARGE = ("latest_charge.balance_transaction",)
OPERATIONS = {
    "customer.create": Operation(
        shipped.CustomerCreateParams,
        lambda v1: v1.customers.create,
        shapes.customer,
        _by_time(lambda v1: v1.customers),
    ),
    "payment_intent.create": Operation(
        shipped.PaymentIntentCreateParams,
        lambda v1: v1.payment_intents.create,
        shapes.intent,
        lambda v1, asked, since: v1.payment_intents.list(
            {**since, "customer": asked["customer"], "limit": PAGE}
        ),
        _CHARGE,
    ),
    "payment_intent.cancel": Operation(
        shipped.PaymentIntentCancelParams,
        lambda v1: v1.payment_intents.cancel,
        shapes.intent,
        lambda v1, asked, since: v1.payment_intents.list({**since, "limit": PAGE}),
        _CHARGE,
    ),
    "refund.create": Operation(
        shipped.RefundCreateParams,
        lambda v1: v1.refunds.create,
        shapes.refund,
        lambda v1, asked, since: v1.refunds.list(
            {"payment_intent": asked["payment_intent"], "limit": PAGE}
        ),
        ("balance_transaction", "failure_balance_transaction"),
    ),
    "account.create": Operation(
        shipped.AccountCreateParams,
        lambda v1: v1.accounts.create,
        shapes.account,
        _by_time(lambda v1: v1.accounts),
    ),
    "transfer.create": Operation(
        shipped.TransferCreateParams,
        lambda v1: v1.transfers.create,
        shapes.transfer,
        lambda v1, asked, since: v1.transfers.list(
            {"transfer_group": asked["transfer_group"], "limit": PAGE}
        ),
        _LINE,
    ),
    "transfer.reverse": Operation(
        shipped.TransferReversalCreateParams,
        lambda v1: v1.transfers.reversals.create,
        shapes.reversal,
        lambda v1, asked, since: v1.transfers.reversals.list(asked["target"], {"limit": PAGE}),
        _LINE,
    ),
    "payout.create": Operation(
        shipped.PayoutCreateParams,
        lambda v1: v1.payouts.create,
        shapes.payout,
        _by_time(lambda v1: v1.payouts),
        ("balance_transaction", "failure_balance_transaction"),
    ),
}
# What can be looked at: its service, how it is read, what is sent along with it.
_KINDS: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any], tuple[str, ...]]] = {
    "payment_intent": (lambda v1: v1.payment_intents, shapes.intent, _CHARGE),
    "refund": (
        lambda v1: v1.refunds,
        shapes.refund,
        ("balance_transaction", "failure_balance_transaction"),
    ),
    "dispute": (lambda v1: v1.disputes, shapes.dispute, ()),
    "transfer": (lambda v1: v1.transfers, shapes.transfer, _LINE),
    "account": (lambda v1: v1.accounts, shapes.account, ()),
    "payout": (
        lambda v1: v1.payouts,
        shapes.payout,
        ("balance_transaction", "failure_balance_transaction"),
    ),
}


def is_on() -> bool:
    return bool(settings.STRIPE_API_KEY) or is_fake()


def is_fake() -> bool:
    """Our own fake stands in: in a demo without a key."""
    return bool(settings.STRIPE_FAKE) and not settings.STRIPE_API_KEY


def require_on() -> None:
    if not is_on():
        raise GatewayOff()


def check(operation: str, parameters: Mapping[str, Any]) -> None:
    """Raises UnknownToStripe where the pinned API version takes no such request."""
    asked = {name: value for name, value in parameters.items() if name != "target"}
    contract.check(OPERATIONS[operation].parameters, asked)


def call(operation: str, parameters: Mapping[str, Any], *, key: str) -> Any:
    """Does it, once per key, and returns the object. Raises Refused, NotTaken, Unanswered."""
    check(operation, parameters)
    known = OPERATIONS[operation]
    asked = {name: value for name, value in parameters.items() if name != "target"}
    if known.expand:
        asked["expand"] = list(known.expand)
    target = [parameters["target"]] if "target" in parameters else []
    with _ended():
        made = known.send(_v1())(*target, asked, {"idempotency_key": key})
        return known.read(made.to_dict(), _expand)


def look_up(
    operation: str, parameters: Mapping[str, Any], *, request_id: str, since: datetime
) -> Any | None:
    """What an earlier request of ours made, found by our id in its metadata, or None.

    For requests whose key Stripe may have forgotten. Raises Refused, NotTaken, Unanswered.
    """
    known = OPERATIONS[operation]
    with _ended():
        if operation == "payment_intent.cancel":  # makes nothing: the state says it all
            found = fetch("payment_intent", parameters["target"])
            return found if found.status == "canceled" else None
        made_since = {"created": {"gte": int((since - timedelta(hours=1)).timestamp())}}
        for raw in known.find(_v1(), parameters, made_since).auto_paging_iter():
            seen = raw.to_dict()
            if (seen.get("metadata") or {}).get("psp_request") == request_id:
                return known.read(seen, _expand)
    return None


def fetch(kind: str, object_id: str) -> Any:
    """The object as it is now. Raises Refused (no such object), NotTaken, Unanswered."""
    service, read, expand = _KINDS[kind]
    with _ended():
        options = {"expand": list(expand)} if expand else {}
        return read(service(_v1()).retrieve(object_id, options).to_dict(), _expand)


def intent_of(charge_id: str) -> str:
    """Which payment a charge belongs to."""
    with _ended():
        return str(_v1().charges.retrieve(charge_id, {}).payment_intent or "")


def fetch_reversals(transfer_id: str) -> list[shapes.Reversal]:
    with _ended():
        rows = _v1().transfers.reversals.list(
            transfer_id, {"limit": PAGE, "expand": ["data.balance_transaction"]}
        )
        return [shapes.reversal(raw.to_dict(), _expand) for raw in rows.auto_paging_iter()]


def fetch_account_payout(payout_id: str, *, account_id: str) -> shapes.Payout:
    """A payout of a connected account to its own bank."""
    with _ended():
        found = _v1().payouts.retrieve(payout_id, {}, {"stripe_account": account_id})
        # Its lines are in the account's books, not in ours.
        raw = {**found.to_dict(), "balance_transaction": None, "failure_balance_transaction": None}
        return shapes.payout(raw, _expand)


def recent(kind: str, *, since: datetime) -> Iterator[Any]:
    """Every object of the kind made since then, as the list has it."""
    service, read, expand = _KINDS[kind]
    asked: dict[str, Any] = {"created": {"gte": int(since.timestamp())}, "limit": PAGE}
    if expand:
        asked["expand"] = [f"data.{one}" for one in expand]
    with _ended():
        for raw in service(_v1()).list(asked).auto_paging_iter():
            yield read(raw.to_dict(), _expand)


def lines(*, since: datetime | None = None, payout_id: str = "") -> Iterator[shapes.Line]:
    """Balance transactions made since then, or those one automatic payout paid out."""
    asked: dict[str, Any] = {"limit": PAGE}
    if since is not None:
        asked["created"] = {"gte": int(since.timestamp())}
    if payout_id:
        asked["payout"] = payout_id
    with _ended():
        for raw in _v1().balance_transactions.list(asked).auto_paging_iter():
            yield shapes.line(raw.to_dict())


def balance() -> dict[str, tuple[int, int]]:
    """By currency what is available now and what is pending, in minor units."""
    with _ended():
        found = _v1().balance.retrieve().to_dict()
    sums: dict[str, list[int]] = {}
    for place, name in enumerate(("available", "pending")):
        for part in found[name]:
            code = part["currency"].upper()
            amount = currencies.minor(part["amount"], code)
            sums.setdefault(code, [0, 0])[place] += amount
    return {code: (available, pending) for code, (available, pending) in sums.items()}


def onboarding_link(account_id: str, *, refresh_url: str, return_url: str) -> str:
    """A page of Stripe's, open once and for minutes, where a provider says who it is."""
    asked: dict[str, Any] = {
        "account": account_id,
        "type": "account_onboarding",
        "refresh_url": refresh_url,
        "return_url": return_url,
    }
    contract.check(shipped.AccountLinkCreateParams, asked)
    with _ended():
        return str(_v1().account_links.create(asked).url)


def _expand(transaction_id: str) -> shapes.Raw:
    raw: shapes.Raw = _v1().balance_transactions.retrieve(transaction_id).to_dict()
    return raw


def _v1() -> Any:
    require_on()
    # A lock held over somebody else's slow network holds up everybody.
    if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
        raise AssertionError("Stripe is called within a transaction")
    return _client(settings.STRIPE_API_KEY or FAKE_KEY, settings.STRIPE_API_BASE, is_fake()).v1


@lru_cache(maxsize=4)
def _client(key: str, base: str, fake: bool) -> stripe.StripeClient:
    """No retries of the SDK's own: ours are written down."""
    transport: stripe.HTTPClient = (
        _FakeTransport() if fake else stripe.RequestsClient(timeout=settings.STRIPE_TIMEOUT_SECONDS)
    )
    return stripe.StripeClient(
        key,
        base_addresses={"api": base} if base else None,
        http_client=transport,
        max_network_retries=0,
    )


class _FakeTransport(stripe.HTTPClient):
    """The SDK speaks as ever; what it says is answered in this process."""

    name = "fake"

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        try:
            return fakestripe.answer(method, url, headers or {}, post_data or "")
        except fakestripe.NoAnswer as error:
            raise stripe.APIConnectionError(str(error)) from error  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """Nothing is open."""


@contextmanager
def _ended() -> Iterator[None]:
    """Stripe's errors in the words of this package."""
    try:
        yield
    except (stripe.RateLimitError, stripe.AuthenticationError, stripe.PermissionError) as error:
        raise NotTaken(_code(error), str(error)) from error
    except (stripe.CardError, stripe.InvalidRequestError, stripe.IdempotencyError) as error:
        raise Refused(_code(error), str(error)) from error
    except stripe.StripeError as error:
        raise Unanswered(_code(error), str(error)) from error


def _code(error: stripe.StripeError) -> str:
    return str(error.code or type(error).__name__)
