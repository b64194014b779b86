"""Questions about leases and nodes: opened, answered, escalated when nobody answers in time."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from inventory import actors, identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Forbidden, Invalid, NotFound
from inventory.models import Node
from marketplace.models import Case, CaseAttachment, CaseMessage, Lease
from marketplace.models.case import LARGEST_ATTACHMENT

ACTOR = actors.system("cases")
State = Case.State
MOST_ATTACHMENTS = 20
_NAME = re.compile(r'[\x00-\x1f\x7f"\\/:*?<>|\ud800-\udfff]')
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
)


class AttachmentRefused(Invalid):
    """Too large, empty, one too many, or of no form that is taken."""

    code = "attachment_refused"
    title = "The attachment is not acceptable"


class CaseClosed(DomainError):
    """A closed case is written to by nobody; its opener may reopen it."""

    code = "case_closed"
    title = "The case is closed"


def open_case(
    *,
    lease_public_id: str = "",
    node_public_id: str = "",
    title: str,
    text: str,
    category: str,
    priority: str,
    at: datetime,
    actor: Actor,
) -> Case:
    """A case is put to the other side, and its response clock runs.

    A tenant's, about a lease of its own, goes to the provider; a provider's, about a lease or a
    node of its own, to the operator. Raises NotFound, Forbidden (the operator opens none),
    Invalid. Not idempotent.
    """
    if bool(lease_public_id) == bool(node_public_id):
        raise Invalid("A case is about one lease or one node")
    if category not in Case.Category.values or priority not in Case.Priority.values:
        raise Invalid("The category or the priority is not known")
    lease = node = None
    own = actor.organisation_id
    if actor.project_id is not None:
        raise NotFound("No such lease")
    if lease_public_id:
        rows = Lease.objects.visible_to(actor)
        lease = identifiers.find(rows, lease_public_id, "No such lease")
        provider_id, parties = lease.provider_id, {lease.tenant_id, lease.provider_id}
    else:
        own_nodes = Node.objects.filter(provider_id=own)
        node = identifiers.find(own_nodes, node_public_id, "No such node")
        provider_id, parties = node.provider_id, {node.provider_id}
    if own not in parties:
        raise Forbidden("The operator answers cases, and opens none")
    by_tenant = own != provider_id
    row = Case(
        opener_id=own,
        provider_id=provider_id,
        tenant_id=own if by_tenant else None,
        lease=lease,
        node=node,
        title=_said(title)[:120],
        category=category,
        priority=priority,
        assignee=Case.Assignee.PROVIDER if by_tenant else Case.Assignee.OPERATOR,
        respond_by=_deadline(priority, at),
        created_at=at,
    )
    with transaction.atomic():
        journal.create(row, event="case.opened", actor=actor, at=at, data=_facts(row))
        _message(row, text, at, actor)
    return row


def reply(
    *, case_public_id: str, text: str, asks_back: bool = False, at: datetime, actor: Actor
) -> CaseMessage:
    """A side has written. The other side's answer stops the clock; its opener starts it again.

    `asks_back`: the answer needs something of its opener first. Locks the case. Raises NotFound,
    CaseClosed, Invalid. Not idempotent.
    """
    with transaction.atomic():
        row = _lock(case_public_id, actor)
        if row.state == State.CLOSED:
            raise CaseClosed
        message = _message(row, text, at, actor)
        if _is_opener(row, actor):
            if row.state not in Case.RUNNING:
                _advance(row, State.OPEN, at, actor)
        else:
            to = State.WAITING if asks_back else State.ANSWERED
            if row.state != to:
                _advance(row, to, at, actor)
        _record(row, "case.replied", at, actor, {"message": message.public_id})
    return message


def attach(
    *, case_public_id: str, name: str, content: bytes, at: datetime, actor: Actor
) -> CaseAttachment:
    """The file is part of the case: at most 5 MB, twenty of them, of a form that is taken.

    What it is is read from its bytes. Locks the case. Raises NotFound, CaseClosed,
    AttachmentRefused. Not idempotent.
    """
    media_type = _media_type(content)
    clean = _NAME.sub("_", name.strip())[:120].strip(". ")
    if not clean:
        raise AttachmentRefused("The file needs a name")
    with transaction.atomic():
        row = _lock(case_public_id, actor)
        if row.state == State.CLOSED:
            raise CaseClosed
        number = row.attachments.count() + 1
        if number > MOST_ATTACHMENTS:
            raise AttachmentRefused("A case has twenty attachments at the most")
        assert actor.organisation_id is not None
        found = CaseAttachment.objects.create(
            case=row,
            number=number,
            author_id=actor.organisation_id,
            name=clean,
            media_type=media_type,
            content=content,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            created_at=at,
        )
        _record(row, "case.attached", at, actor, {"attachment": found.public_id})
    return found


def close(*, case_public_id: str, at: datetime, actor: Actor, reason: str = "") -> Case:
    """Done. Locks the case. Raises NotFound, IllegalTransition, Forbidden: only who opened it,
    and the operator, close it."""
    with transaction.atomic():
        row = _lock(case_public_id, actor)
        if not _is_opener(row, actor) and not actor.sees_everything:
            raise Forbidden("Who opened a case closes it")
        _advance(row, State.CLOSED, at, actor, reason=reason)
    return row


def reopen(*, case_public_id: str, text: str, at: datetime, actor: Actor) -> Case:
    """Not done after all; the clock runs anew. Its opener's to say.

    Locks the case. Raises NotFound, IllegalTransition, Forbidden, Invalid.
    """
    with transaction.atomic():
        row = _lock(case_public_id, actor)
        if not _is_opener(row, actor):
            raise Forbidden("Who opened a case reopens it")
        _advance(row, State.REOPENED, at, actor)
        _message(row, text, at, actor)
    return row


def escalate_due(*, at: datetime, limit: int) -> int:
    """Cases whose clock ran out go to the operator, with a clock of its own; returns how many.

    One that lies with the operator already is marked late, once. Locks each case; those that
    somebody works on are left to the next run. Idempotent.
    """
    due = Case.objects.filter(respond_by__lte=at).order_by("respond_by", "pk")
    moved = 0
    for pk in list(due.values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            rows = Case.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
            row = rows.filter(pk=pk, respond_by__lte=at).first()
            if row is None:
                continue
            row.escalated_at = row.escalated_at or at
            passed_on = row.assignee == Case.Assignee.PROVIDER
            row.assignee = Case.Assignee.OPERATOR
            # The operator's own clock; once that has run out too there is nobody above it.
            row.respond_by = _deadline(row.priority, at) if passed_on else None
            row.save(update_fields=["assignee", "respond_by", "escalated_at"])
            _record(row, "case.escalated" if passed_on else "case.late", at, ACTOR, {})
            moved += 1
    return moved


def _lock(public_id: str, actor: Actor) -> Case:
    rows = Case.objects.visible_to(actor).select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows, public_id, "No such case")


def _is_opener(row: Case, actor: Actor) -> bool:
    return actor.organisation_id == row.opener_id


def _deadline(priority: str, at: datetime) -> datetime:
    return at + timedelta(minutes=settings.CASE_RESPONSE_MINUTES[priority])


def _said(text: str) -> str:
    if not text.strip():
        raise Invalid("Say something")
    return text.strip()


def _message(row: Case, text: str, at: datetime, actor: Actor) -> CaseMessage:
    assert actor.organisation_id is not None
    said = _said(text)
    if len(said) > 8000:
        raise Invalid("A message has 8000 characters at the most")
    return CaseMessage.objects.create(
        case=row, author_id=actor.organisation_id, text=said, created_at=at
    )


def _advance(row: Case, to: State, at: datetime, actor: Actor, reason: str = "") -> None:
    runs = to in Case.RUNNING
    row.respond_by = _deadline(row.priority, at) if runs else None
    transitions.advance(
        row, to=to, at=at, actor=actor, reason=reason, changed=("respond_by",), data=_facts(row)
    )


def _facts(row: Case) -> dict[str, object]:
    about = row.lease or row.node
    return {
        "about": about.public_id if about else "",
        "category": row.category,
        "priority": row.priority,
        "assignee": row.assignee,
    }


def _record(row: Case, event: str, at: datetime, actor: Actor, data: dict[str, object]) -> None:
    journal.record(
        event=event,
        object_id=row.public_id,
        actor=actor,
        at=at,
        provider_id=row.provider_id,
        tenant_id=row.tenant_id,
        data={**_facts(row), **data},
    )


def _media_type(content: bytes) -> str:
    """Read from the bytes; a name proves nothing. Raises AttachmentRefused."""
    if not content:
        raise AttachmentRefused("The file is empty")
    if len(content) > LARGEST_ATTACHMENT:
        raise AttachmentRefused("The file is larger than 5 MB")
    for magic, media_type in _MAGIC:
        if content.startswith(magic):
            return media_type
    if b"\x00" not in content:
        try:
            content.decode()
        except UnicodeDecodeError:
            pass
        else:
            return "text/plain"
    raise AttachmentRefused("Pictures (PNG, JPEG), PDF, text, ZIP and GZIP files are taken")
