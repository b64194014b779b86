"""Everybody's view of what happened: who did what, when and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.utils.translation import gettext as _

from inventory.models import ApiKey, JournalEntry, Membership, User
from marketplace.web import exports, journal_words
from marketplace.web.entry import ConsoleRequest, Visit, page, render
from marketplace.web.paging import paged

EXPORT_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Line:
    """An entry in words."""

    entry: JournalEntry
    event: str
    kind: str
    states: str
    who: str
    reason: str


@page(scope="journal:read")
def index(request: ConsoleRequest) -> HttpResponse:
    """The newest first; optionally of one object."""
    rows, subject = _asked(request)
    found = paged(rows, request, key="id")
    names = _names({(row.actor_kind, row.actor) for row in found.rows}, request.visit)
    context = {
        "page": found,
        "lines": [_line(row, names) for row in found.rows],
        "subject": subject,
    }
    return render(request, "console/journal.html", context)


@page(scope="journal:read")
def index_csv(request: ConsoleRequest) -> StreamingHttpResponse:
    """The newest entries as a table, with the codes beside the words."""
    rows, _subject = _asked(request)
    newest = rows.order_by("-id")[:EXPORT_ROWS]
    names = _names(set(newest.values_list("actor_kind", "actor")), request.visit)
    header = [
        _("Instant (UTC)"), _("Event"), _("Object"), _("From state"), _("To state"), _("Who"),
        _("Who (id)"), _("Reason"),
    ]  # fmt: skip
    lines = (
        [
            row.at.isoformat(), row.event, row.object_id, row.from_state, row.to_state,
            names.get((row.actor_kind, row.actor), ""), row.actor, row.reason,
        ]
        for row in newest.iterator(chunk_size=1000)
    )  # fmt: skip
    return exports.stream("journal", header, lines)


def _asked(request: ConsoleRequest) -> tuple[QuerySet[JournalEntry], str]:
    rows = JournalEntry.objects.visible_to(request.visit.actor)
    text = request.GET.get("object", "").strip()[:40]
    subject = text if text.isascii() and text.isprintable() else ""
    return (rows.filter(object_id=subject) if subject else rows), subject


def _line(entry: JournalEntry, names: dict[tuple[str, str], str]) -> Line:
    return Line(
        entry=entry,
        event=journal_words.event(entry),
        kind=journal_words.kind(entry.object_id),
        states=journal_words.change(entry),
        who=names.get((entry.actor_kind, entry.actor), ""),
        reason=journal_words.reason(entry.reason),
    )


def _names(actors: Iterable[tuple[str, str]], visit: Visit) -> dict[tuple[str, str], str]:
    """Whom each (kind, label) stands for. People and keys of others stay nameless: a party to a
    deal does not learn who works for the other."""
    actors = set(actors)
    people = _people([label for kind, label in actors if kind == "user"], visit)
    keys = _keys([label for kind, label in actors if kind == "key"], visit)
    names = {}
    for kind, label in actors:
        if kind == "system":
            names[kind, label] = journal_words.system(label)
        elif kind == "key":
            names[kind, label] = keys.get(label) or _("A key of another organisation")
        else:
            names[kind, label] = people.get(label) or _("A person of another organisation")
    return names


def _people(labels: list[str], visit: Visit) -> dict[str, str]:
    labels = [label for label in labels if label.startswith("usr_") and len(label) == 36]
    rows = User.objects.filter(public_id__in=labels)
    if not visit.actor.sees_everything:
        rows = rows.filter(public_id__in=_ours(labels, visit))
    return {row.public_id: row.get_full_name() for row in rows}


def _ours(labels: list[str], visit: Visit) -> set[str]:
    """Those who are or were members of the visitor's organisation."""
    own = visit.organisation
    members = Membership.objects.filter(organisation=own, user__public_id__in=labels)
    joined = JournalEntry.objects.filter(
        provider_id=own.pk, event="membership.added", object_id__in=labels
    )
    return {
        *members.values_list("user__public_id", flat=True),
        *joined.values_list("object_id", flat=True),
    }


def _keys(labels: list[str], visit: Visit) -> dict[str, str]:
    labels = [label for label in labels if label.startswith("key_") and len(label) == 36]
    rows = ApiKey.objects.filter(public_id__in=labels)
    if not visit.actor.sees_everything:
        rows = rows.filter(organisation=visit.organisation)
    return {row.public_id: _("Key “%(name)s”") % {"name": row.name} for row in rows}
