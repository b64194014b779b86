"""A Stripe of our own, for a demo without a key and for tests: strict, and of no real money.

It refuses what Stripe refuses: parameters it does not know, ids it never gave, refunds of more
than was paid, amounts below the least, transfers of more than is available, a key used for two
requests. The same key gets the stored reply. Its state is rows, so that every process sees one
Stripe. It knows what this house uses and nothing more; it proves nothing about the real one.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.db import transaction

from billing.fakestripe import balances, connect, payments, store
from billing.fakestripe.errors import NoAnswer, Refusal, missing
from billing.fakestripe.store import Data

_POSTS: list[tuple[re.Pattern[str], Callable[..., Data]]] = [
    (re.compile(r"/v1/customers"), payments.create_customer),
    (re.compile(r"/v1/payment_intents"), payments.create_intent),
    (re.compile(r"/v1/payment_intents/(\w+)/cancel"), payments.cancel_intent),
    (re.compile(r"/v1/refunds"), payments.create_refund),
    (re.compile(r"/v1/accounts"), connect.create_account),
    (re.compile(r"/v1/account_links"), connect.create_link),
    (re.compile(r"/v1/transfers"), connect.create_transfer),
    (re.compile(r"/v1/transfers/(\w+)/reversals"), connect.reverse_transfer),
    (re.compile(r"/v1/payouts"), connect.create_payout),
]
_LISTED = {
    "customers": "customer",
    "payment_intents": "payment_intent",
    "refunds": "refund",
    "disputes": "dispute",
    "accounts": "account",
    "transfers": "transfer",
    "payouts": "payout",
    "balance_transactions": "balance_transaction",
    "charges": "charge",
}
_FILTERS = ("customer", "payment_intent", "transfer_group", "payout")


def answer(
    method: str, url: str, headers: Mapping[str, str], body: str
) -> tuple[str, int, Mapping[str, str]]:
    """Reply, status and headers to one request of the SDK. Raises NoAnswer."""
    parts = urlsplit(url)
    given = tree(body if method == "post" else parts.query)
    named = {name.lower(): value for name, value in headers.items()}
    try:
        with transaction.atomic():
            store.alone()
            status, reply = _serve(method, parts.path, given, named)
    except Refusal as refusal:
        status, reply = refusal.status, refusal.body
    return json.dumps(reply), status, {"request-id": "req_fake"}


def _serve(method: str, path: str, given: Data, headers: Mapping[str, str]) -> tuple[int, Data]:
    account = headers.get("stripe-account", "")
    expand = given.pop("expand", [])
    if method != "post":
        return 200, _expanded(_read(path, given, account), expand)
    key = headers.get("idempotency-key", "")
    digest = hashlib.sha256(json.dumps([path, given], sort_keys=True).encode()).hexdigest()
    known = store.peek(f"reply:{key}")
    if known is not None:
        if known["digest"] != digest:
            raise Refusal(
                "idempotency_key_reused",
                "Keys for idempotent requests can only be used with the same parameters.",
                type="idempotency_error",
            )
        return known["status"], known["reply"]
    status, reply = 200, {}
    try:
        with transaction.atomic():
            reply = _expanded(_post(path, given), expand)
    except Refusal as refusal:
        if not refusal.kept:
            raise
        status, reply = refusal.status, refusal.body
    store.write(f"reply:{key}", "reply", {"digest": digest, "status": status, "reply": reply})
    return status, reply


def _post(path: str, given: Data) -> Data:
    for shape, act in _POSTS:
        if match := shape.fullmatch(path):
            return dict(act(*match.groups(), given))
    raise missing("address", path)


def _read(path: str, given: Data, account: str) -> Data:
    words = path.removeprefix("/v1/").split("/")
    if words == ["balance"]:
        return balances.retrieve(account)
    if words[0] == "transfers" and len(words) == 3:
        store.get("transfer", words[1])
        rows = (row for row in store.each("transfer_reversal") if row["transfer"] == words[1])
        return _page(list(rows), given, path)
    kind = _LISTED.get(words[0])
    if kind is None:
        raise missing("address", path)
    if len(words) == 2:
        return dict(store.get(kind, words[1], account=account))
    since = int((given.get("created") or {}).get("gte", 0))
    wanted = {name: given[name] for name in _FILTERS if name in given}
    rows = (
        row
        for row in store.each(kind, account=account)
        if row["created"] >= since and all(row.get(name) == v for name, v in wanted.items())
    )
    return _page(list(rows), given, path)


def _page(rows: list[Data], given: Data, path: str) -> Data:
    after, limit = given.get("starting_after"), int(given.get("limit", 10))
    if after is not None:
        places = [place for place, row in enumerate(rows) if row["id"] == after]
        if not places:
            raise missing("object", after)
        rows = rows[places[0] + 1 :]
    return {
        "object": "list",
        "data": [dict(row) for row in rows[:limit]],
        "has_more": len(rows) > limit,
        "url": path,
    }


def _expanded(data: Data, paths: list[str]) -> Data:
    for path in paths:
        if path.startswith("data."):
            data["data"] = [_expanded(row, [path.removeprefix("data.")]) for row in data["data"]]
            continue
        name, _, rest = path.partition(".")
        found = data.get(name)
        if isinstance(found, str) and (full := store.peek(found)) is not None:
            data[name] = _expanded(dict(full), [rest] if rest else [])
    return data


def tree(form: str) -> Data:
    """`metadata[a]=1&types[0]=card` as nested dictionaries and lists."""
    found: Data = {}
    for name, value in parse_qsl(form, keep_blank_values=True):
        *outer, last = [part.rstrip("]") for part in name.split("[")]
        place: Any = found
        for here in outer:
            place = place.setdefault(here, {})
        place[last] = value
    return {name: _lists(value) for name, value in found.items()}


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _lists(one) for name, one in value.items()}
    if inner and all(name.isdigit() or name == "" for name in inner):
        return [inner[name] for name in sorted(inner, key=lambda name: int(name or 0))]
    return inner


__all__ = ["NoAnswer", "Refusal", "answer"]
