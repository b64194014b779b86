"""Channels of an organisation: added, tested, removed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.utils.translation import gettext, override

from inventory import identifiers, journal, transitions, wrapping
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from marketplace.models import Channel, Delivery
from marketplace.notifications import secrets, senders
from marketplace.notifications.topics import TOPICS

Kind = Channel.Kind
MOST_CHANNELS = 20
LANGUAGES = ("zh-hans", "en")
_PHONE = re.compile(r"\+?[0-9]{6,15}")
_SECRET = re.compile(r"[\x21-\x7e]{8,128}")


class ChannelRefused(Invalid):
    """No address of this kind, a topic nobody knows, or one channel too many."""

    code = "channel_refused"
    title = "The channel is not acceptable"


class ChannelExists(DomainError):
    """An active channel of the organisation has this name."""

    code = "channel_exists"
    title = "A channel has this name already"


def add(
    *,
    organisation_id: int,
    kind: str,
    name: str,
    address: str,
    secret: str = "",
    topics: Sequence[str],
    language: str = "zh-hans",
    at: datetime,
    actor: Actor,
) -> Channel:
    """The organisation hears of these topics there, from now on.

    `address`: an e-mail address, a telephone number or a robot's web hook on one of the hosts
    of its kind; 钉钉 and 飞书 robots are signed, with `secret`. Raises ChannelRefused,
    ChannelExists. Not idempotent.
    """
    if kind not in Kind.values:
        raise ChannelRefused("This kind of channel is not known")
    if not name.strip():
        raise ChannelRefused("The channel needs a name")
    if language not in LANGUAGES:
        raise ChannelRefused("The language is zh-hans or en")
    target, hint = _target(kind, address.strip(), secret.strip())
    with transaction.atomic():
        mine = Channel.objects.filter(organisation_id=organisation_id, state=Channel.State.ACTIVE)
        names = set(mine.select_for_update(no_key=True).values_list("name", flat=True))
        if name.strip()[:60] in names:
            raise ChannelExists
        if len(names) >= MOST_CHANNELS:
            raise ChannelRefused("An organisation has 20 channels at the most")
        row = Channel.objects.create(
            organisation_id=organisation_id,
            kind=kind,
            name=name.strip()[:60],
            target=secrets.seal(target),
            hint=hint,
            language=language,
            topics=_known(topics),
            created_at=at,
        )
        _record(row, "channel.added", at, actor)
    return row


def choose(*, channel_public_id: str, topics: Sequence[str], at: datetime, actor: Actor) -> Channel:
    """It hears of these topics from now on. Locks it. Raises NotFound, IllegalTransition,
    ChannelRefused. Idempotent."""
    with transaction.atomic():
        row = _lock(channel_public_id, actor)
        row.topics = _known(topics)
        row.save(update_fields=["topics"])
        _record(row, "channel.topics_chosen", at, actor)
    return row


def remove(*, channel_public_id: str, at: datetime, actor: Actor) -> Channel:
    """It hears nothing any more; what waits for it is not sent. Locks it. Raises NotFound,
    IllegalTransition."""
    with transaction.atomic():
        row = _lock(channel_public_id, actor)
        transitions.advance(row, to=Channel.State.REMOVED, at=at, actor=actor)
    return row


def rewrap_secrets() -> int:
    """Addresses are encrypted with the first of CREDENTIAL_KEYS; how many were redone.

    Raises CredentialUnreadable.
    """
    return wrapping.rewrap_each(Channel.objects.exclude(state=Channel.State.REMOVED), "target")


def send_test(*, channel_public_id: str, at: datetime, actor: Actor) -> Delivery:
    """A message that says only that the channel works is on its way. Raises NotFound,
    IllegalTransition. Not idempotent."""
    with transaction.atomic():
        row = _lock(channel_public_id, actor)
        with override(row.language):
            title = gettext("Cardhour: this channel works")
        found = Delivery.objects.create(
            channel=row, event="channel.test", title=title, text=row.name, next_at=at, created_at=at
        )
        _record(row, "channel.tested", at, actor)
    return found


def retry(*, delivery_public_id: str, at: datetime, actor: Actor) -> Delivery:
    """One that was given up is sent again, with its attempts counted anew. Locks it. Raises
    NotFound, IllegalTransition."""
    with transaction.atomic():
        rows = Delivery.objects.visible_to(actor).select_for_update(of=("self",), no_key=True)
        row = identifiers.find(
            rows.select_related("channel"), delivery_public_id, "No such delivery"
        )
        if row.state != Delivery.State.FAILED or row.channel.state != Channel.State.ACTIVE:
            raise transitions.IllegalTransition("Only what failed is sent again", state=row.state)
        row.state, row.next_at = Delivery.State.QUEUED, at
        row.attempt_count, row.last_error = 0, ""
        row.save(update_fields=["state", "next_at", "attempt_count", "last_error"])
        _record(row.channel, "delivery.retried", at, actor, delivery=row.public_id)
    return row


def _target(kind: str, address: str, secret: str) -> tuple[dict[str, str], str]:
    """What is kept of an address, and what may be shown of it. Raises ChannelRefused."""
    if kind == Kind.EMAIL:
        try:
            validate_email(address)
        except ValidationError as error:
            raise ChannelRefused("This is no e-mail address") from error
        return {"address": address}, address[:80]
    if kind == Kind.SMS:
        if senders.sms_adapter() is None:
            raise ChannelRefused("No service for text messages is set up here")
        phone = re.sub(r"[\s-]", "", address)
        if not _PHONE.fullmatch(phone):
            raise ChannelRefused("This is no telephone number")
        return {"phone": phone}, f"…{phone[-4:]}"
    try:
        target = senders.parse_hook(kind, address)
    except senders.HookRefused as error:
        hosts = ", ".join(senders.HOOKS[kind][0])
        raise ChannelRefused(
            "The web hook of this kind of robot has another address", hosts=hosts
        ) from error
    if kind == Kind.WECOM:
        return target, f"{target['host']} …{target['token'][-4:]}"
    if not _SECRET.fullmatch(secret):
        raise ChannelRefused("This kind of robot is signed: give its secret")
    return target | {"secret": secret}, f"{target['host']} …{target['token'][-4:]}"


def _known(topics: Sequence[str]) -> list[str]:
    unknown = set(topics) - set(TOPICS)
    if unknown:
        raise ChannelRefused("A topic is not known", unknown=sorted(unknown))
    return [topic for topic in TOPICS if topic in topics]


def _lock(public_id: str, actor: Actor) -> Channel:
    rows = Channel.objects.visible_to(actor).select_for_update(of=("self",), no_key=True)
    row = identifiers.find(rows, public_id, "No such channel")
    if row.state != Channel.State.ACTIVE:
        raise transitions.IllegalTransition("The channel is removed", state=row.state)
    return row


def _record(row: Channel, event: str, at: datetime, actor: Actor, **data: object) -> None:
    journal.record(
        event=event,
        object_id=row.public_id,
        actor=actor,
        at=at,
        provider_id=row.organisation_id,
        data={"kind": row.kind, "topics": row.topics, **data},
    )
