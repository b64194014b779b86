"""The operator's monthly report: kept in versions, on paper, with what was restated since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.utils import translation
from django.utils.translation import gettext as _

from billing import paper
from billing.models import AuditReport
from billing.paper import Align, Column, Document, Language, Table
from inventory import actors, journal
from inventory.models import HubNode, OwnerKind
from marketplace import utilisation
from marketplace.models import TenantClass
from marketplace.utilisation import GroupBy, readings
from marketplace.utilisation.levels import AMOUNTS
from marketplace.utilisation.readings import Days, PoolSum
from marketplace.utilisation.rollups import midnight

ACTOR = actors.system("audit_reports")
REACH_MONTHS = 3  # corrections reach back 35 days: no later change is looked for
GROUPS: tuple[GroupBy, ...] = ("hub", "owner", "chip", "centre")
STAGES = ("installed", "serviceable", "listed", "sold", "delivered")


def make_due(*, at: datetime) -> list[AuditReport]:
    """Each of the last three finished months has its report, and a version that is right.

    A month is reported once all of it is counted; where its figures are no longer those of the
    last version, it is restated. Takes a lock, so that two sweeps make one version. Idempotent.
    """
    counted_until = readings.mark().counted_until
    if counted_until is None:
        return []
    made = []
    for month in _months_before(at):
        days = Days(month, _next(month) - timedelta(days=1))
        if midnight(_next(month)) > counted_until:
            continue
        sums = readings.of_pools(days)
        if (figures := _figures(sums)) is not None and (row := _keep(month, figures, at)):
            made.append(row)
    return made


def _keep(month: date, figures: dict[str, Any], at: datetime) -> AuditReport | None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('audit reports'))")
        last = AuditReport.objects.filter(month=month).order_by("-version").first()
        if last is not None and last.figures == figures:
            return None
        row = AuditReport.objects.create(
            month=month,
            version=last.version + 1 if last else 1,
            figures=figures,
            created_at=at,
        )
        journal.record(
            event="report.restated" if last else "report.made",
            object_id=row.public_id,
            actor=ACTOR,
            at=at,
            data={"month": f"{month:%Y-%m}", "version": row.version},
        )
    return row


def _months_before(at: datetime) -> list[date]:
    month = at.astimezone(ZoneInfo(settings.BILLING_ZONE)).date().replace(day=1)
    months = []
    for _number in range(REACH_MONTHS):
        month = (month - timedelta(days=1)).replace(day=1)
        months.append(month)
    return months[::-1]


def _next(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _figures(sums: Sequence[PoolSum]) -> dict[str, Any] | None:
    """Whole card-seconds; None where nothing was installed."""
    whole = readings.total(sums)
    if not whole["installed"]:
        return None
    groups: dict[str, list[dict[str, Any]]] = {}
    for by in GROUPS:
        parts: dict[str, dict[str, Any]] = {}
        for one in sums:
            key, name = utilisation.place_of(one.place, by)
            part = parts.setdefault(key, {"key": key, **dict.fromkeys(STAGES, 0)})
            if by in ("chip", "centre"):
                part["name"] = name
            if by == "centre":
                part["name_en"] = one.place.centre_name_en
            for stage in STAGES:
                part[stage] += one.amounts[stage]
        groups[by] = sorted(parts.values(), key=lambda part: (-part["installed"], part["key"]))
    classes = {
        row.tenant_class.value: {"sold": row.sold, "delivered": row.delivered}
        for row in readings.by_class(sums)
    }
    return {"whole": whole, "groups": groups, "classes": classes, "pools": len(sums)}


@dataclass(frozen=True, slots=True)
class Delta:
    """What a restatement changed of one stage, in card-seconds."""

    stage: str
    before: int
    after: int

    @property
    def change(self) -> int:
        return self.after - self.before


def deltas(row: AuditReport) -> list[Delta]:
    """Against the version before; empty for the first."""
    before = AuditReport.objects.filter(month=row.month, version=row.version - 1).first()
    if before is None:
        return []
    old, new = before.figures["whole"], row.figures["whole"]
    return [Delta(name, old[name], new[name]) for name in AMOUNTS if old[name] != new[name]]


def words() -> dict[str, str]:
    """The stages in the reader's language, from the one table of definitions."""
    chinese = (translation.get_language() or "").startswith("zh")
    return {row.key: row.zh if chinese else row.en for row in utilisation.DEFINITIONS}


def pdf(row: AuditReport, *, language: Language) -> bytes:
    """The report on paper, the same bytes whenever it is made."""
    with translation.override(paper.LOCALES[language]):
        return paper.render(_document(row, language))


def _document(row: AuditReport, language: Language) -> Document:
    figures, word = row.figures, words()
    whole = figures["whole"]
    return Document(
        language=language,
        title=_("Use of card-hours"),
        number=f"{row.month:%Y-%m} · v{row.version}",
        dated=row.created_at,
        facts=[
            (_("Month"), f"{row.month:%Y-%m}"),
            (_("Version"), str(row.version)),
            (_("Pools"), f"{figures['pools']:,}"),
            *(
                (word[rate], _percent(whole[part], whole[of]))
                for rate, part, of in (
                    ("listed_rate", "listed", "installed"),
                    ("sold_rate", "sold", "listed"),
                    ("delivered_rate", "delivered", "installed"),
                )
            ),
        ],
        tables=[
            _funnel(whole, word),
            *_restated(row, word),
            *(_group(by, figures["groups"][by], word, language) for by in GROUPS),
            _classes(figures["classes"]),
        ],
        notes=[
            _("Card-hours; each stage lies within the one before it."),
            _("Busy is what telemetry saw; what nobody measured is not counted, never guessed."),
            *(
                f"{name}: {meaning}"
                for name, meaning in utilisation.definitions(paper.LOCALES[language])
            ),
        ],
        footer=f"{row.public_id} · {row.month:%Y-%m} · v{row.version}",
    )


def _funnel(whole: dict[str, int], word: dict[str, str]) -> Table:
    columns = [Column(_("Stage"), 2), *_numbers(_("Card-hours"), _("Of what is installed"))]
    rows = [
        [word[stage], _hours(whole[stage]), _percent(whole[stage], whole["installed"])]
        for stage in STAGES
    ]
    measured = whole["measured"]
    rows.append(
        [word["busy"], _hours(whole["busy"]) if measured else _("not measured"),
         _percent(whole["busy"], whole["installed"]) if measured else "–"]
    )  # fmt: skip
    return Table(columns=columns, rows=rows, title=_("The funnel"))


def _restated(row: AuditReport, word: dict[str, str]) -> list[Table]:
    found = deltas(row)
    if not found:
        return []
    columns = [
        Column(_("Stage"), 2),
        *_numbers(_("Before, card-hours"), _("Now, card-hours"), _("Change")),
    ]
    rows = [
        [word.get(one.stage, one.stage), _hours(one.before), _hours(one.after),
         f"{one.change / 3600:+,.2f}"]
        for one in found
    ]  # fmt: skip
    return [Table(columns=columns, rows=rows, title=_("Restated against the version before"))]


def _group(
    by: GroupBy, parts: list[dict[str, Any]], word: dict[str, str], language: Language
) -> Table:
    titles = {"hub": _("Hub node"), "owner": _("Owner type"), "chip": _("Chip"),
              "centre": _("Centre")}  # fmt: skip
    columns = [
        Column(titles[by], 2),
        *_numbers(*(word[stage] for stage in STAGES), word["delivered_rate"]),
    ]
    rows = [
        [_name(by, part, language), *(_hours(part[stage]) for stage in STAGES),
         _percent(part["delivered"], part["installed"])]
        for part in parts
    ]  # fmt: skip
    return Table(columns=columns, rows=rows, title=_("By %(what)s") % {"what": titles[by]})


def _name(by: GroupBy, part: dict[str, Any], language: Language) -> str:
    if by == "hub":
        return str(HubNode(part["key"]).label)
    if by == "owner":
        return str(OwnerKind(part["key"]).label)
    if language == "en" and part.get("name_en"):
        return str(part["name_en"])
    return str(part["name"])


def _classes(classes: dict[str, dict[str, int]]) -> Table:
    columns = [Column(_("Class of tenant"), 2), *_numbers(_("sold"), _("delivered"))]
    rows = [
        [str(TenantClass(key).label), _hours(part["sold"]), _hours(part["delivered"])]
        for key, part in classes.items()
    ]
    return Table(columns=columns, rows=rows, title=_("By class of tenant"))


def _numbers(*titles: str) -> list[Column]:
    right: Align = "right"
    return [Column(title, 1.2, right) for title in titles]


def _hours(seconds: int) -> str:
    return f"{seconds / 3600:,.0f}"


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"
