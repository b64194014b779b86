"""Customers, payments, refunds."""

from __future__ import annotations

import secrets
from typing import Any

from billing.fakestripe import balances, events, store
from billing.fakestripe.errors import Refusal, done_wrong, unknown_parameter
from billing.fakestripe.store import Data

MINIMA = {"cny": 400, "hkd": 400, "usd": 50, "eur": 50, "jpy": 50, "gbp": 30, "sgd": 50}
METHODS = {"card", "alipay", "wechat_pay"}
ASYNCHRONOUS = {"alipay", "wechat_pay"}  # their refunds take days


def only(asked: Data, *names: str) -> None:
    for name in asked:
        if name not in {*names, "metadata", "expand", "description"}:
            raise unknown_parameter(name)


def whole(asked: Data, name: str) -> int:
    text = str(asked.get(name, ""))
    if not text.isascii() or not text.isdigit():
        raise Refusal("parameter_invalid_integer", f"Invalid integer: {text}", param=name)
    number = int(text)
    if not 0 < number <= 99_999_999:
        code = "amount_too_large" if number else "parameter_invalid_integer"
        raise Refusal(code, f"Invalid amount: {number}", param=name)
    return number


def currency(asked: Data) -> str:
    code = str(asked.get("currency", ""))
    if len(code) != 3 or code != code.lower():
        raise Refusal("parameter_invalid_string", f"Invalid currency: {code}", param="currency")
    return code


def create_customer(asked: Data) -> Data:
    only(asked, "name", "email", "preferred_locales")
    made = store.add(
        "customer",
        "cus",
        name=asked.get("name"),
        email=asked.get("email"),
        metadata=asked.get("metadata", {}),
    )
    events.emit("customer.created", made)
    return made


def create_intent(asked: Data) -> Data:
    only(asked, "amount", "currency", "customer", "allowed_payment_method_types")
    amount, code = whole(asked, "amount"), currency(asked)
    if amount < MINIMA.get(code, 50):
        raise Refusal("amount_too_small", f"Amount must be at least {MINIMA.get(code, 50)} {code}")
    if asked.get("customer"):
        store.get("customer", asked["customer"])
    methods = asked.get("allowed_payment_method_types") or ["card"]
    if not set(methods) <= METHODS:
        raise Refusal("payment_method_type_invalid", f"Not activated: {methods}")
    made = store.add("payment_intent", "pi", amount=amount, currency=code)
    store.save(
        made,
        amount_received=0,
        customer=asked.get("customer"),
        status="requires_payment_method",
        client_secret=f"{made['id']}_secret_{secrets.token_hex(8)}",
        capture_method="automatic_async",
        payment_method_types=methods,
        latest_charge=None,
        last_payment_error=None,
        metadata=asked.get("metadata", {}),
    )
    events.emit("payment_intent.created", made)
    return made


def cancel_intent(intent_id: str, asked: Data) -> Data:
    only(asked, "cancellation_reason")
    intent = store.get("payment_intent", intent_id)
    if intent["status"] not in ("requires_payment_method", "requires_action"):
        raise done_wrong(
            "payment_intent_unexpected_state", f"It is {intent['status']} and cannot be canceled"
        )
    store.save(intent, status="canceled")
    events.emit("payment_intent.canceled", intent)
    return intent


def create_refund(asked: Data) -> Data:
    only(asked, "payment_intent", "amount", "reason")
    intent = store.get("payment_intent", asked.get("payment_intent"))
    amount = whole(asked, "amount")
    if intent["status"] != "succeeded":
        raise Refusal("charge_not_captured", "This PaymentIntent has no successful charge.")
    charge = store.get("charge", intent["latest_charge"])
    if charge["disputed"]:
        raise done_wrong("charge_disputed", "The charge has been charged back.")
    left = charge["amount"] - charge["amount_refunded"]
    if not left:
        raise done_wrong("charge_already_refunded", "The charge has already been refunded.")
    if amount > left:
        raise done_wrong("amount_too_large", f"Refund amount ({amount}) is greater than {left}")
    method = charge["payment_method_details"]["type"]
    made = store.add(
        "refund",
        "re",
        amount=amount,
        currency=charge["currency"],
        charge=charge["id"],
        payment_intent=intent["id"],
        status="pending" if method in ASYNCHRONOUS else "succeeded",
        balance_transaction=None,
        failure_balance_transaction=None,
        failure_reason=None,
        reason=asked.get("reason"),
        metadata=asked.get("metadata", {}),
    )
    net, kept, rate = converted(charge, amount)
    line = balances.move(
        type="refund", category="refund", amount=-net, currency=kept, source=made["id"], rate=rate
    )
    store.save(made, balance_transaction=line["id"])
    store.save(charge, amount_refunded=charge["amount_refunded"] + amount)
    events.emit("refund.created", made)
    events.emit("charge.refunded", charge)
    return made


def converted(charge: Data, amount: int) -> tuple[int, str, float | None]:
    """Part of a charge in the currency it was kept in, at the charge's own rate."""
    line: Any = store.peek(charge["balance_transaction"] or "")
    if line is None or line["exchange_rate"] is None:
        return amount, charge["currency"], None
    rate = line["exchange_rate"]
    return max(1, balances.round_half_up(amount * rate)), line["currency"], rate
