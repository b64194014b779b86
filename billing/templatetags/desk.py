"""What waits for the operator, on the page it opens first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import template
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing.models import BankReceipt
from inventory.models import Organisation, Verification
from marketplace.web.entry import Visit

register = template.Library()


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that waits for a person."""

    words: str
    url: str
    verb: str


@register.inclusion_tag("console/desk.html", takes_context=True)
def desk(context: dict[str, Any]) -> dict[str, list[Thing]]:
    """Decisions that nobody but the operator can take; empty where none is due."""
    visit: Visit = context["visit"]
    things = []
    receipts = BankReceipt.objects.visible_to(visit.actor).filter(state=BankReceipt.State.RECORDED)
    may_approve = visit.actor.may("receipts:approve")
    if may_approve:  # never one's own
        receipts = receipts.exclude(recorded_by=visit.user)
    if count := receipts.count():
        words = ngettext(
            "%(n)s bank receipt waits for a second person: until then the money is in no wallet.",
            "%(n)s bank receipts wait for a second person: until then the money is in no wallet.",
            count,
        ) % {"n": f"{count:,}"}
        things.append(Thing(words, reverse("receipts"), _("Decide") if may_approve else _("Look")))
    waiting = Organisation.objects.filter(
        is_operator=False, state__in=[Verification.UNVERIFIED, Verification.PENDING]
    )
    if count := waiting.count():
        words = ngettext(
            "%(n)s organisation waits to be verified: until then it cannot trade.",
            "%(n)s organisations wait to be verified: until then they cannot trade.",
            count,
        ) % {"n": f"{count:,}"}
        may_verify = visit.actor.may("organisations:write")
        url = reverse("organisations")
        things.append(Thing(words, url, _("Decide") if may_verify else _("Look")))
    return {"things": things}
