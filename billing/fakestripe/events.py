"""Webhooks as Stripe sends them: late, twice, in any order."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

from billing.fakestripe import store
from billing.fakestripe.store import Data


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way to one of our two endpoints."""

    endpoint: str
    event_id: str
    body: str


def emit(type: str, thing: Data, *, account: str = "") -> None:
    """Remembered to be sent; the object in it is as it was at this moment, and may be old."""
    made = store.add(
        "event",
        "evt",
        account=account,
        type=type,
        api_version="2026-10-28.endive",
        data={"object": thing},
        sent=False,
    )
    store.save(made, account=account or None)


def take(*, chance: random.Random | None = None) -> list[Delivery]:
    """What is sent now. With `chance` some come later, some twice, and in any order."""
    waiting = [event for event in store.each("event", account=None) if not event["sent"]]
    waiting.reverse()
    chosen: list[Data] = []
    for event in waiting:
        if chance is not None and chance.random() < 0.3:
            continue  # later
        chosen.append(event)
        if chance is not None and chance.random() < 0.3:
            chosen.append(event)
            continue  # twice now, and once more another time
        store.change(event["id"], {**event, "sent": True})
    if chance is not None:
        chance.shuffle(chosen)
    return [_delivery(event) for event in chosen]


def log() -> list[Delivery]:
    """Everything that ever happened, the oldest first."""
    events = list(store.each("event", account=None))
    return [_delivery(event) for event in reversed(events)]


def _delivery(event: Data) -> Delivery:
    shown = {name: value for name, value in event.items() if name != "sent"}
    if not shown["account"]:
        del shown["account"]
    endpoint = "connect" if event["account"] else "platform"
    return Delivery(endpoint, event["id"], json.dumps(shown))
