"""What the fake remembers: objects by id, in a table, so that every process sees the same."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import Any

from django.db import connection
from django.db.models import Max

from billing.fakestripe.errors import missing
from billing.models import FakeStripeObject

Data = dict[str, Any]
_LOCK = 0x57121BE  # one request at a time, as far as balances are concerned


def now() -> int:
    return int(time.time())


def alone() -> None:
    """Nobody else acts until this transaction is over."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def try_key(key: str) -> bool:
    """Whether no other request with this key is being served."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", [7, key])
        return bool(cursor.fetchone()[0])


def add(kind: str, prefix: str, *, account: str = "", **data: Any) -> Data:
    """A new object, with what every object has."""
    object_id = f"{prefix}_{secrets.token_hex(12)}"
    found: Data = {
        "id": object_id,
        "object": kind,
        "created": now(),
        "livemode": False,
        **data,
    }
    write(object_id, kind, found, account=account)
    return found


def write(key: str, kind: str, data: Data, *, account: str = "") -> None:
    last = FakeStripeObject.objects.aggregate(last=Max("number"))["last"] or 0
    FakeStripeObject.objects.create(
        key=key, kind=kind, account_id=account, number=last + 1, data=data
    )


def save(data: Data, **changes: Any) -> Data:
    data.update(changes)
    FakeStripeObject.objects.filter(key=data["id"]).update(data=data)
    return data


def get(kind: str, object_id: object, *, account: str = "") -> Data:
    """Raises Refusal: no such object, also where it is another account's."""
    row = FakeStripeObject.objects.filter(key=str(object_id), kind=kind, account_id=account).first()
    if row is None:
        raise missing(kind, object_id)
    data: Data = row.data
    return data


def peek(key: str) -> Data | None:
    row = FakeStripeObject.objects.filter(key=key).first()
    return None if row is None else row.data


def each(kind: str, *, account: str | None = "") -> Iterator[Data]:
    """Newest first; `account=None`: of every account."""
    rows = FakeStripeObject.objects.filter(kind=kind)
    if account is not None:
        rows = rows.filter(account_id=account)
    for row in rows.order_by("-number"):
        yield row.data


def change(key: str, data: Data) -> None:
    FakeStripeObject.objects.filter(key=key).update(data=data)
