"""What happens at Stripe without our asking: payers pay, banks dispute, accounts are completed."""

from __future__ import annotations

from django.db import transaction

from billing.fakestripe import balances, connect, events, store
from billing.fakestripe.payments import converted
from billing.fakestripe.store import Data


@transaction.atomic
def settle_in(presented: str, kept: str, rate: float) -> None:
    """From now on payments in one currency are kept in another."""
    store.alone()
    config = store.peek("config")
    settles = {**(config or {}).get("settles", {}), presented: [kept, rate]}
    if config is None:
        store.write("config", "config", {"settles": settles})
    else:
        store.change("config", {**config, "settles": settles})


@transaction.atomic
def pay(intent_id: str, *, method: str = "card", late: bool = False) -> Data:
    """The payer pays; `late`: the balance transaction comes with `book` only."""
    store.alone()
    intent = store.get("payment_intent", intent_id)
    if intent["status"] not in ("requires_payment_method", "requires_action", "processing"):
        return intent
    charge = store.add(
        "charge",
        "ch",
        amount=intent["amount"],
        amount_refunded=0,
        currency=intent["currency"],
        customer=intent["customer"],
        payment_intent=intent["id"],
        paid=True,
        status="succeeded",
        captured=True,
        disputed=False,
        balance_transaction=None,
        payment_method_details={
            "type": method,
            **({"card": {"brand": "visa", "fingerprint": "fp_4242"}} if method == "card" else {}),
        },
        metadata={},
    )
    store.save(
        intent, status="succeeded", amount_received=intent["amount"], latest_charge=charge["id"]
    )
    if not late:
        _book(charge)
    events.emit("payment_intent.succeeded", intent)
    events.emit("charge.succeeded", charge)
    return intent


@transaction.atomic
def book(intent_id: str) -> None:
    """The balance transaction of a payment that had none yet."""
    store.alone()
    charge = store.get("charge", store.get("payment_intent", intent_id)["latest_charge"])
    if charge["balance_transaction"] is None:
        _book(charge)
        events.emit("charge.updated", charge)


def _book(charge: Data) -> None:
    amount, kept, rate = balances.settled(charge["amount"], charge["currency"])
    line = balances.move(
        type="charge", category="charge", amount=amount, fee=amount * 29 // 1000 + 30,
        currency=kept, source=charge["id"], rate=rate, pending=True,
    )  # fmt: skip
    store.save(charge, balance_transaction=line["id"])


@transaction.atomic
def decline(intent_id: str, code: str = "insufficient_funds") -> None:
    store.alone()
    intent = store.get("payment_intent", intent_id)
    if intent["status"] == "requires_payment_method":
        error = {"type": "card_error", "code": "card_declined", "decline_code": code}
        store.save(intent, last_payment_error=error)
        events.emit("payment_intent.payment_failed", intent)


@transaction.atomic
def finish_refund(refund_id: str, *, ok: bool) -> None:
    """An asynchronous refund has reached the payer, or comes back."""
    store.alone()
    refund = store.get("refund", refund_id)
    if ok:
        if refund["status"] == "pending":
            store.save(refund, status="succeeded")
            events.emit("refund.updated", refund)
        return
    if refund["status"] == "failed":
        return
    line = store.get("balance_transaction", refund["balance_transaction"])
    back = balances.move(
        type="refund_failure", category="refund_failure", amount=-line["amount"],
        currency=line["currency"], source=refund["id"], rate=line["exchange_rate"],
    )  # fmt: skip
    store.save(
        refund,
        status="failed",
        failure_reason="expired_or_canceled_card",
        failure_balance_transaction=back["id"],
    )
    charge = store.get("charge", refund["charge"])
    store.save(charge, amount_refunded=charge["amount_refunded"] - refund["amount"])
    events.emit("refund.failed", refund)


@transaction.atomic
def dispute(intent_id: str, *, amount: int | None = None, inquiry: bool = False) -> Data:
    """The payer's bank takes a payment back, or first asks about it."""
    store.alone()
    intent = store.get("payment_intent", intent_id)
    charge = store.get("charge", intent["latest_charge"])
    amount = min(amount or charge["amount"], charge["amount"])
    made = store.add(
        "dispute",
        "dp",
        amount=amount,
        currency=charge["currency"],
        charge=charge["id"],
        payment_intent=intent["id"],
        reason="fraudulent",
        status="warning_needs_response" if inquiry else "needs_response",
        evidence_details={"due_by": store.now() + 7 * 86_400},
        balance_transactions=[],
        metadata={},
    )
    events.emit("charge.dispute.created", made)
    if not inquiry:
        _withdraw(made, charge)
    return made


@transaction.atomic
def escalate(dispute_id: str) -> None:
    """An inquiry becomes a dispute."""
    store.alone()
    found = store.get("dispute", dispute_id)
    if found["status"] == "warning_needs_response":
        store.save(found, status="needs_response")
        _withdraw(found, store.get("charge", found["charge"]))


def _withdraw(found: Data, charge: Data) -> None:
    net, kept, rate = converted(charge, found["amount"])
    line = balances.move(
        type="adjustment", category="dispute", amount=-net, fee=1500, currency=kept,
        source=found["id"], rate=rate,
    )  # fmt: skip
    store.save(charge, disputed=True)
    store.save(found, balance_transactions=[line])
    events.emit("charge.dispute.funds_withdrawn", found)


@transaction.atomic
def decide(dispute_id: str, *, won: bool) -> None:
    """The bank has decided."""
    store.alone()
    found = store.get("dispute", dispute_id)
    if found["status"].startswith("warning"):
        store.save(found, status="warning_closed")
        events.emit("charge.dispute.closed", found)
        return
    if found["status"] in ("won", "lost"):
        return
    store.save(found, status="won" if won else "lost")
    events.emit("charge.dispute.closed", found)
    if won:
        taken = found["balance_transactions"][0]
        back = balances.move(
            type="adjustment", category="dispute_reversal", amount=-taken["amount"],
            currency=taken["currency"], source=found["id"], rate=taken["exchange_rate"],
        )  # fmt: skip
        store.save(found, balance_transactions=[taken, back])
        events.emit("charge.dispute.funds_reinstated", found)


@transaction.atomic
def complete(account_id: str) -> None:
    """The provider has told Stripe all it wants to know."""
    store.alone()
    account = store.get("account", account_id)
    store.save(
        account,
        capabilities={"transfers": "active"},
        payouts_enabled=True,
        details_submitted=True,
        requirements={"currently_due": [], "past_due": [], "disabled_reason": None},
    )
    events.emit("account.updated", account, account=account_id)


@transaction.atomic
def restrict(account_id: str, reason: str = "requirements.past_due") -> None:
    store.alone()
    account = store.get("account", account_id)
    store.save(
        account,
        capabilities={"transfers": "inactive"},
        payouts_enabled=False,
        requirements={"currently_due": [], "past_due": ["x"], "disabled_reason": reason},
    )
    events.emit("account.updated", account, account=account_id)


@transaction.atomic
def mature() -> None:
    """Two days have passed: what was pending is available."""
    store.alone()
    for line in store.each("balance_transaction", account=None):
        if line["available_on"] > store.now():
            store.save(line, available_on=store.now(), status="available")


@transaction.atomic
def pay_out(currency: str) -> Data | None:
    """Stripe's own automatic payout of what is available, as far as one payout goes."""
    store.alone()
    amount = min(balances.available(currency), 99_999_999)
    if amount <= 0:
        return None
    made = connect.create_payout({"amount": str(amount), "currency": currency}, automatic=True)
    for line in store.each("balance_transaction"):
        if line["currency"] == currency and line["payout"] is None and line["type"] != "payout":
            if line["available_on"] <= store.now():
                store.save(line, payout=made["id"])
    return made


@transaction.atomic
def arrive(payout_id: str, *, ok: bool, account: str = "") -> None:
    """A payout has reached its bank, or comes back (also after it had been called paid)."""
    store.alone()
    payout = store.get("payout", payout_id, account=account)
    if ok and payout["status"] in ("pending", "in_transit"):
        store.save(payout, status="paid")
        events.emit("payout.paid", payout, account=account)
    elif not ok and payout["status"] != "failed":
        back = balances.move(
            type="payout_failure", category="payout_reversal", amount=payout["amount"],
            currency=payout["currency"], source=payout["id"], account=account,
        )  # fmt: skip
        store.save(
            payout,
            status="failed",
            failure_code="account_closed",
            failure_balance_transaction=back["id"],
        )
        events.emit("payout.failed", payout, account=account)


@transaction.atomic
def fee(amount: int, currency: str) -> None:
    """A fee of no payment, such as a month of a service."""
    store.alone()
    balances.move(type="stripe_fee", category="fee", amount=-amount, currency=currency, source="")


@transaction.atomic
def connected_payout(account_id: str, currency: str, amount: int) -> Data:
    """A connected account is paid out to its own bank; it had the money from somewhere."""
    store.alone()
    balances.move(
        type="payment", category="charge", amount=amount, currency=currency, source="",
        account=account_id,
    )  # fmt: skip
    asked = {"amount": str(amount), "currency": currency}
    return connect.create_payout(asked, account=account_id, automatic=True)
