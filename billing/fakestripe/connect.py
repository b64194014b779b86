"""Connected accounts, transfers to them, payouts to banks."""

from __future__ import annotations

from billing.fakestripe import balances, events, store
from billing.fakestripe.errors import Refusal, done_wrong
from billing.fakestripe.payments import currency, only, whole
from billing.fakestripe.store import Data

COUNTRIES = {"HK", "SG", "JP", "GB", "US", "DE", "FR", "NL", "IE"}
WANTED = ["business_profile.url", "external_account", "tos_acceptance.date"]


def create_account(asked: Data) -> Data:
    only(asked, "country", "controller", "capabilities", "email", "business_profile")
    if asked.get("country") not in COUNTRIES:
        raise Refusal("country_unsupported", f"{asked.get('country')} is not supported")
    if not asked.get("controller"):
        raise Refusal("parameter_missing", "Say who bears losses and fees: controller")
    made = store.add(
        "account",
        "acct",
        country=asked["country"],
        controller=asked["controller"],
        capabilities={"transfers": "inactive"},
        charges_enabled=False,
        payouts_enabled=False,
        details_submitted=False,
        requirements={"currently_due": WANTED, "past_due": [], "disabled_reason": None},
        metadata=asked.get("metadata", {}),
    )
    events.emit("account.updated", made, account=made["id"])
    return made


def create_link(asked: Data) -> Data:
    only(asked, "account", "type", "refresh_url", "return_url")
    account = store.get("account", asked.get("account"))
    return {
        "object": "account_link",
        "created": store.now(),
        "expires_at": store.now() + 300,
        "url": f"{asked['return_url']}?fake={account['id']}",
    }


def create_transfer(asked: Data) -> Data:
    only(asked, "amount", "currency", "destination", "transfer_group")
    amount, code = whole(asked, "amount"), currency(asked)
    account = store.get("account", asked.get("destination"))
    if account["capabilities"]["transfers"] != "active":
        raise done_wrong(
            "insufficient_capabilities_for_transfer", "The destination cannot receive transfers."
        )
    balances.need(amount, code)
    made = store.add(
        "transfer",
        "tr",
        amount=amount,
        amount_reversed=0,
        currency=code,
        destination=account["id"],
        transfer_group=asked.get("transfer_group"),
        metadata=asked.get("metadata", {}),
    )
    line = balances.move(
        type="transfer", category="transfer", amount=-amount, currency=code, source=made["id"]
    )
    balances.move(
        type="payment", category="charge", amount=amount, currency=code, source=made["id"],
        account=account["id"],
    )  # fmt: skip
    store.save(made, balance_transaction=line["id"])
    events.emit("transfer.created", made)
    return made


def reverse_transfer(transfer_id: str, asked: Data) -> Data:
    only(asked, "amount")
    transfer = store.get("transfer", transfer_id)
    amount = whole(asked, "amount")
    if amount > transfer["amount"] - transfer["amount_reversed"]:
        raise done_wrong("amount_too_large", "More than is left of the transfer")
    code, account = transfer["currency"], transfer["destination"]
    balances.need(amount, code, account=account)
    made = store.add(
        "transfer_reversal",
        "trr",
        amount=amount,
        currency=code,
        transfer=transfer["id"],
        metadata=asked.get("metadata", {}),
    )
    line = balances.move(
        type="transfer_refund", category="transfer_reversal", amount=amount, currency=code,
        source=made["id"],
    )  # fmt: skip
    balances.move(
        type="payment_refund", category="refund", amount=-amount, currency=code,
        source=made["id"], account=account,
    )  # fmt: skip
    store.save(made, balance_transaction=line["id"])
    store.save(transfer, amount_reversed=transfer["amount_reversed"] + amount)
    events.emit("transfer.reversed", transfer)
    return made


def create_payout(asked: Data, *, account: str = "", automatic: bool = False) -> Data:
    only(asked, "amount", "currency")
    amount, code = whole(asked, "amount"), currency(asked)
    if code in ("huf", "twd") and amount % 100:
        raise Refusal("parameter_invalid_integer", "Only whole units are paid out")
    balances.need(amount, code, account=account)
    made = store.add(
        "payout",
        "po",
        account=account,
        amount=amount,
        currency=code,
        status="pending",
        automatic=automatic,
        arrival_date=store.now() + 86_400,
        failure_code=None,
        failure_balance_transaction=None,
        metadata=asked.get("metadata", {}),
    )
    line = balances.move(
        type="payout", category="payout", amount=-amount, currency=code, source=made["id"],
        account=account,
    )  # fmt: skip
    store.save(made, balance_transaction=line["id"])
    events.emit("payout.created", made, account=account)
    return made
