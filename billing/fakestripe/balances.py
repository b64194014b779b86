"""The fake's own books: every movement is a balance transaction, and the balance is their sum."""

from __future__ import annotations

from typing import Any

from billing.fakestripe import store
from billing.fakestripe.errors import done_wrong
from billing.fakestripe.store import Data

PENDING_SECONDS = 2 * 86_400  # until a payment may be paid out


def move(
    *,
    type: str,
    category: str,
    amount: int,
    currency: str,
    source: str,
    fee: int = 0,
    rate: float | None = None,
    pending: bool = False,
    account: str = "",
) -> Data:
    at = store.now()
    return store.add(
        "balance_transaction",
        "txn",
        account=account,
        type=type,
        reporting_category=category,
        amount=amount,
        fee=fee,
        net=amount - fee,
        currency=currency,
        source=source,
        available_on=at + PENDING_SECONDS if pending else at,
        exchange_rate=rate,
        description=None,
        fee_details=[],
        payout=None,
        status="pending" if pending else "available",
    )


def available(currency: str, *, account: str = "") -> int:
    return sum(
        line["net"]
        for line in store.each("balance_transaction", account=account)
        if line["currency"] == currency and line["available_on"] <= store.now()
    )


def need(amount: int, currency: str, *, account: str = "") -> None:
    """Raises Refusal where there is not that much to move."""
    if available(currency, account=account) < amount:
        raise done_wrong("balance_insufficient", f"You have insufficient funds in {currency}.")


def retrieve(account: str) -> Data:
    sums: dict[str, list[int]] = {}
    for line in store.each("balance_transaction", account=account):
        is_late = line["available_on"] > store.now()
        sums.setdefault(line["currency"], [0, 0])[is_late] += line["net"]

    def column(place: int) -> list[dict[str, Any]]:
        return [{"amount": both[place], "currency": code} for code, both in sorted(sums.items())]

    return {
        "object": "balance",
        "available": column(0),
        "pending": column(1),
        "livemode": False,
    }


def settled(amount: int, currency: str) -> tuple[int, str, float | None]:
    """A presented amount in the currency this account keeps, and the rate."""
    config = store.peek("config") or {}
    target, rate = config.get("settles", {}).get(currency, (currency, None))
    if rate is None:
        return amount, currency, None
    return round_half_up(amount * rate), target, rate


def round_half_up(amount: float) -> int:
    return int(amount + 0.5) if amount >= 0 else -int(-amount + 0.5)
