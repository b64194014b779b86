"""A provider's pools: what is in them, what is free, and what may change."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory import pools as verbs
from inventory.models import Chip, Fabric, Pool
from marketplace.web import exports, idle, names
from marketplace.web.entry import ConsoleRequest, attempt, find, page, render
from marketplace.web.forms import ConsoleForm, count_field

_SLICES = [
    ("", gettext_lazy("a whole node")),
    ("1", gettext_lazy("1 card")),
    ("2", gettext_lazy("2 cards")),
    ("4", gettext_lazy("4 cards")),
]
_DAY_HOURS = 24 * 30


class PoolForm(ConsoleForm):
    """A new pool of interchangeable nodes."""

    fabric = forms.ChoiceField(label=gettext_lazy("Fabric"))
    chip_code = forms.ChoiceField(label=gettext_lazy("Chip"))
    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    unit_cards = forms.ChoiceField(
        label=gettext_lazy("Sold in units of"),
        choices=_SLICES,
        required=False,
        help_text=gettext_lazy("Fixed for the life of the pool"),
    )
    spare_count = count_field(
        label=gettext_lazy("Spare nodes"), minimum=0, initial=0,
        help_text=gettext_lazy("Kept back for failures, never sold"),
    )  # fmt: skip
    lead_hours = forms.IntegerField(
        label=gettext_lazy("Hours needed before a start"),
        min_value=0, max_value=_DAY_HOURS, initial=1,
    )  # fmt: skip
    turnaround_hours = forms.IntegerField(
        label=gettext_lazy("Hours needed after an end"),
        min_value=0, max_value=_DAY_HOURS, initial=2,
    )  # fmt: skip

    def __init__(self, *args: Any, fabrics: QuerySet[Fabric], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fabrics = {fabric.public_id: fabric for fabric in fabrics}
        choice = self.fields["fabric"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = [
            (key, f"{names.of(f.centre)} · {f.name}") for key, f in self.fabrics.items()
        ]
        chip = self.fields["chip_code"]
        assert isinstance(chip, forms.ChoiceField)
        chip.choices = [
            (row.code, f"{row.vendor} {row.model} · {row.memory_gib} GiB")
            for row in Chip.objects.order_by("vendor", "model")
        ]

    def facts(self) -> dict[str, Any]:
        """The verb's arguments."""
        data = self.cleaned_data
        return {
            "fabric_id": self.fabrics[data["fabric"]].pk,
            "chip_code": data["chip_code"],
            "name": data["name"],
            "unit_cards": int(data["unit_cards"]) if data["unit_cards"] else None,
            "spare_count": data["spare_count"],
            "lead_seconds": data["lead_hours"] * 3600,
            "turnaround_seconds": data["turnaround_hours"] * 3600,
        }


def own(request: ConsoleRequest) -> QuerySet[Pool]:
    rows = Pool.objects.visible_to(request.visit.actor)
    return rows.select_related("fabric__centre", "chip").order_by(
        "fabric__centre__name", "name", "pk"
    )


@page(scope="inventory:read", party="provider")
def index(request: ConsoleRequest) -> HttpResponse:
    """The idle calendar of every pool."""
    rows = idle.calendar(own(request).exclude(state=Pool.State.RETIRED), at=request.visit.at)
    return render(request, "console/pools.html", {"rows": rows})


@page(scope="inventory:read", party="provider")
def index_csv(request: ConsoleRequest) -> StreamingHttpResponse:
    return calendar_csv("idle-calendar", idle.calendar(own(request), at=request.visit.at))


@page(scope="inventory:write", party="provider", changes=True)
def create(request: ConsoleRequest) -> HttpResponse:
    visit = request.visit
    fabrics = Fabric.objects.visible_to(visit.actor).select_related("centre")
    fabrics = fabrics.order_by("centre__name", "name")
    centre_id = request.GET.get("centre", "")  # where one came from
    form = PoolForm(
        request.POST if request.method == "POST" else None,
        fabrics=fabrics,
        initial={
            "fabric": next((f.public_id for f in fabrics if f.centre.public_id == centre_id), None)
        },
    )
    if request.method == "POST" and form.is_valid():
        pool = attempt(
            form, lambda: verbs.create_pool(at=visit.at, actor=visit.actor, **form.facts())
        )
        if pool is not None:
            messages.success(
                request, _("%(name)s was added. Now import its nodes.") % {"name": pool.name}
            )
            return redirect("node_import", pool.public_id)
    return render(
        request,
        "console/form_page.html",
        {"title": _("Create a pool"), "back": "pools", "submit": _("Create")},
        form=form,
    )


@page(scope="inventory:read", party="provider")
def detail_csv(request: ConsoleRequest, pool_id: str) -> StreamingHttpResponse:
    pool = find(own(request), pool_id)
    return calendar_csv(f"pool-{pool.name}", idle.calendar([pool], at=request.visit.at))


def calendar_csv(name: str, rows: list[idle.Row]) -> StreamingHttpResponse:
    """The numbers behind a calendar, in card-hours."""
    header = [
        _("Centre"), _("Pool"), _("Chip"), _("Date"), _("Installed"), _("Sold"), _("Held"),
        _("External"), _("Listed, free"), _("Not listed"), _("Spare or out of service"),
    ]  # fmt: skip
    lines = (
        [
            names.of(row.pool.fabric.centre), row.pool.name, row.pool.chip_id, day.date.isoformat(),
            *(f"{value:.2f}" for value in (
                day.installed, day.sold, day.held, day.external, day.listed, day.unlisted, day.down
            )),
        ]
        for row in rows
        for day in row.days
    )  # fmt: skip
    return exports.stream(name, header, lines)
