"""The record of acceptance on paper: what was delivered, what was measured, who took it."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from django.utils import translation
from django.utils.translation import gettext as _

from billing import paper
from billing.paper import Block, Column, Document, Language, Table
from inventory.models import Acceptance, AcceptanceRun, Organisation
from marketplace.models import Lease

_GB = 1_000  # MB/s in a GB/s
State = Acceptance.State


def pdf(row: Acceptance, *, language: Language) -> bytes:
    """The record (验收单), the same bytes whenever it is made in the same state."""
    with translation.override(paper.LOCALES[language]):
        return paper.render(_document(row, language))


def _document(row: Acceptance, language: Language) -> Document:
    lease = Lease.objects.select_related(
        "allocation__pool__chip", "allocation__pool__fabric__centre", "provider", "tenant"
    ).get(allocation=row.allocation_id)
    pool = lease.allocation.pool
    zone = ZoneInfo(pool.fabric.centre.timezone)
    runs = list(row.runs.select_related("posted_by").order_by("pk"))
    last = runs[-1] if runs else None
    return Document(
        language=language,
        title=_("Record of acceptance"),
        number=row.public_id,
        dated=last.at if last else row.created_at,
        facts=[
            (_("Lease"), lease.public_id),
            (_("Centre"), pool.fabric.centre.name),
            (_("Pool"), f"{pool.name} · {pool.chip.model} · {pool.fabric.technology}"),
            (_("Cards"), f"{lease.card_count}"),
            (_("Bandwidth asked for"), _speed(row.threshold_mb_per_second)),
            (_("Delivered"), _instant(row.testing_at, zone)),
            (_("State"), str(row.get_state_display())),
        ],
        blocks=[
            _party(_("Provider"), lease.provider, language, _("Handed over"), row.testing_at, zone),
            _party(_("Tenant"), lease.tenant, language, *_taken(row), zone),
        ],
        tables=[_runs(runs, zone), *_nodes(last)],
        notes=_notes(row, zone),
        footer=f"{row.public_id} · {lease.public_id}",
        stamp="" if row.state in Acceptance.OVER else str(row.get_state_display()),
    )


def _party(
    title: str,
    party: Organisation,
    language: Language,
    what: str,
    at: datetime | None,
    zone: ZoneInfo,
) -> Block:
    name = party.name_en if language == "en" and party.name_en else party.name
    facts = [(_("Name"), name), (_("Credit code"), party.credit_code or "–")]
    return Block(title, [*facts, (what, _instant(at, zone))])


def _taken(row: Acceptance) -> tuple[str, datetime | None]:
    if row.state == State.DEEMED:
        return _("Taken as accepted"), row.deemed_at
    return _("Signed"), row.accepted_at


def _runs(runs: list[AcceptanceRun], zone: ZoneInfo) -> Table:
    return Table(
        title=_("Runs of the test"),
        columns=[
            Column(_("When"), 1.4),
            Column(_("Test"), 2.0),
            Column(_("Nodes"), 0.6, "right"),
            Column(_("Cards"), 0.6, "right"),
            Column(_("Largest message"), 1.0, "right"),
            Column(_("Bus bandwidth"), 1.1, "right"),
            Column(_("Result"), 0.8),
            Column("SHA-256", 1.2),
        ],
        rows=[
            [
                _instant(run.at, zone),
                str(run.get_tool_display()),
                str(run.node_count),
                str(run.rank_count),
                f"{run.size_bytes / 2**30:.0f} GiB",
                _speed(run.busbw_mb_per_second),
                _("passed") if run.passed else _("failed"),
                f"{run.report_sha256[:16]}…",
            ]
            for run in runs
        ],
    )


def _nodes(last: AcceptanceRun | None) -> list[Table]:
    """The machines of the last run, three to a line."""
    if last is None:
        return []
    serials = [*last.serials, *[""] * (-len(last.serials) % 3)]
    rows = [serials[start : start + 3] for start in range(0, len(serials), 3)]
    columns = [Column(_("Serial number")), Column(""), Column("")]
    return [Table(title=_("Nodes of the last run"), columns=columns, rows=rows)]


def _notes(row: Acceptance, zone: ZoneInfo) -> list[str]:
    if row.state == State.ACCEPTED:
        words = _("Signed electronically by %(who)s. Time is billed from then on.")
        return [words % {"who": row.signed_by}]
    if row.state == State.DEEMED:
        return [
            _("A run passed, and the tenant said nothing within %(n)s hours. Time is billed since.")
            % {"n": row.patience_hours}
        ]
    if row.state == State.LAPSED:
        return [_("The delivery was given up. Nothing is billed.")]
    return [_("Nothing is billed before it is accepted.")]


def _speed(mb_per_second: int) -> str:
    return f"{mb_per_second / _GB:,.2f} GB/s"


def _instant(at: datetime | None, zone: ZoneInfo) -> str:
    return "–" if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M}"
