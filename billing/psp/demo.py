"""A demo's own Stripe speaks to us as the real one would: by signed webhooks."""

from __future__ import annotations

import random
from datetime import datetime

from billing import gateway
from billing.fakestripe import events as fake_events
from billing.gateway import signatures
from billing.psp import events


def deliver(*, at: datetime, chance: random.Random | None = None) -> int:
    """What the fake has to say reaches our endpoints; nothing where Stripe is the real one."""
    if not gateway.is_fake():
        return 0
    waiting = fake_events.take(chance=chance)
    for message in waiting:
        secret = events.secrets_of(message.endpoint)[0]
        events.receive(
            endpoint=message.endpoint,
            body=message.body.encode(),
            header=signatures.sign(message.body, secret, at=at),
            at=at,
        )
    return len(waiting)
