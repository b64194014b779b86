"""A provider's sites and the networks in them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, F, IntegerField, Q, Sum
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory import pools as verbs
from inventory.models import Centre, HubNode, Node, OwnerKind, Pool
from marketplace.web import names
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm, count_field


def chosen(choices: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Nothing is answered for somebody who overlooks the question."""
    return [("", "—"), *choices]


class CentreForm(ConsoleForm):
    """What a provider says about a site."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=120)
    name_en = forms.CharField(label=gettext_lazy("Name in English"), max_length=120, required=False)
    region = forms.CharField(label=gettext_lazy("Province or municipality"), max_length=60)
    hub = forms.ChoiceField(label=gettext_lazy("Hub node"), choices=chosen(HubNode.choices))
    owner_kind = forms.ChoiceField(label=gettext_lazy("Owner"), choices=chosen(OwnerKind.choices))
    pue = forms.DecimalField(
        label=gettext_lazy("PUE"),
        min_value=1,
        max_value=5,
        max_digits=4,
        decimal_places=2,
        required=False,
    )
    energy_approval = forms.CharField(
        label=gettext_lazy("Energy approval number"), max_length=120, required=False
    )
    built_racks = count_field(label=gettext_lazy("Racks built"), minimum=0, required=False)
    occupied_racks = count_field(label=gettext_lazy("Racks occupied"), minimum=0, required=False)


class FabricForm(ConsoleForm):
    """A network as its provider describes it; what is left open stays unknown."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    technology = forms.CharField(
        label=gettext_lazy("Technology"),
        max_length=40,
        help_text=gettext_lazy("For example InfiniBand NDR, RoCE v2 400G, HCCS"),
    )
    site_count = count_field(
        label=gettext_lazy("Sites it spans"), required=False,
        help_text=gettext_lazy("Leave open what nobody has proved"),
    )  # fmt: skip
    oversubscription = forms.DecimalField(
        label=gettext_lazy("Oversubscription"),
        min_value=1,
        max_value=999,
        max_digits=5,
        decimal_places=2,
        required=False,
    )


@page(scope="inventory:read", party="provider")
def index(request: ConsoleRequest) -> HttpResponse:
    """One card per site: place, power, racks, chips, and whether nodes are down."""
    actor = request.visit.actor
    rows = Centre.objects.visible_to(actor).prefetch_related("fabrics").order_by("name", "pk")
    mix: dict[int, list[dict[str, object]]] = {}
    chips = (
        Pool.objects.visible_to(actor)
        .exclude(state=Pool.State.RETIRED)
        .values("fabric__centre_id", "chip__model")
        .annotate(
            cards=Coalesce(
                Sum("cards_per_node", filter=~Q(nodes__state=Node.State.RETIRED)),
                0,
                output_field=IntegerField(),
            ),
            broken=Count("nodes", filter=Q(nodes__state=Node.State.BROKEN)),
            model=F("chip__model"),
        )
        .order_by("-cards")
    )
    for line in chips:
        mix.setdefault(line["fabric__centre_id"], []).append(dict(line))
    centres = [
        {
            "centre": centre,
            "chips": mix.get(centre.pk, []),
            "cards": sum(int(str(line["cards"])) for line in mix.get(centre.pk, [])),
            "broken": sum(int(str(line["broken"])) for line in mix.get(centre.pk, [])),
        }
        for centre in rows
    ]
    return render(request, "console/centres.html", {"centres": centres})


@page(scope="inventory:write", party="provider", changes=True)
def create(request: ConsoleRequest) -> HttpResponse:
    visit = request.visit
    form = CentreForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        centre = attempt(
            form,
            lambda: verbs.create_centre(
                provider_id=visit.organisation.pk,
                at=visit.at,
                actor=visit.actor,
                **form.cleaned_data,
            ),
        )
        if centre is not None:
            messages.success(request, _("%(name)s was added.") % {"name": names.of(centre)})
            return redirect("centre", centre.public_id)
    return render(
        request,
        "console/form_page.html",
        {"title": _("Add a centre"), "back": "centres", "submit": _("Add")},
        form=form,
    )


@page(scope="inventory:read", party="provider", changes=True)
def detail(request: ConsoleRequest, centre_id: str) -> HttpResponse:
    """A site with its networks and pools; a POST adds a network."""
    visit = request.visit
    centre = find(Centre.objects.visible_to(visit.actor), centre_id)
    form = FabricForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        need(request, "inventory:write")
        if form.is_valid():
            fabric = attempt(
                form,
                lambda: verbs.create_fabric(
                    centre_id=centre.pk, at=visit.at, actor=visit.actor, **form.cleaned_data
                ),
            )
            if fabric is not None:
                messages.success(request, _("%(name)s was added.") % {"name": fabric.name})
                return redirect("centre", centre.public_id)
    context = {
        "centre": centre,
        "fabrics": centre.fabrics.order_by("name"),
        "pools": Pool.objects.filter(fabric__centre=centre)
        .select_related("chip", "fabric")
        .annotate(node_count=Count("nodes", filter=~Q(nodes__state=Node.State.RETIRED)))
        .order_by("name", "pk"),
    }
    return render(request, "console/centre.html", context, form=form)
