"""What waits for the operator, on the page it opens first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import template
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, ngettext_lazy

from billing.models import (
    BankAccount,
    BankReceipt,
    Fapiao,
    InputFapiao,
    Payout,
    Refund,
)
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
    things += _money_out(visit)
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


def _money_out(visit: Visit) -> list[Thing]:
    """What leaves by two persons, and what has to be looked at before it does. One statement
    each; what somebody has done the first half of waits for another."""
    own, may = visit.user, visit.actor.may
    settles, approves = may("settlements:write"), may("receipts:approve")
    found = [
        (
            Payout.objects.filter(state=Payout.State.PLANNED).exclude(planned_by=own).count(),
            "payouts",
            settles,
            ngettext_lazy(
                "%(n)s payout waits for a second person.",
                "%(n)s payouts wait for a second person.",
                "n",
            ),
        ),
        (
            InputFapiao.objects.filter(state=InputFapiao.State.HANDED_IN).count(),
            "input_fapiaos",
            settles,
            ngettext_lazy(
                "%(n)s fapiao of a provider waits to be looked at.",
                "%(n)s fapiaos of providers wait to be looked at.",
                "n",
            ),
        ),
        (
            Refund.objects.filter(
                Q(state=Refund.State.ASKED) | Q(state=Refund.State.CHECKED) & ~Q(checked_by=own)
            ).count(),
            "refunds",
            approves,
            ngettext_lazy(
                "%(n)s refund by bank waits for a person.",
                "%(n)s refunds by bank wait for a person.",
                "n",
            ),
        ),
        (
            BankAccount.objects.filter(
                Q(state=BankAccount.State.PROPOSED)
                | Q(state=BankAccount.State.CHECKED) & ~Q(checked_by=own)
            )
            .exclude(proposed_by=own)
            .count(),
            "bank_accounts",
            approves,
            ngettext_lazy(
                "%(n)s bank account waits for a person: until then nothing is paid there.",
                "%(n)s bank accounts wait for a person: until then nothing is paid there.",
                "n",
            ),
        ),
        (
            Fapiao.objects.filter(state=Fapiao.State.REQUESTED).count(),
            "fapiaos",
            settles,
            ngettext_lazy(
                "%(n)s fapiao waits to be issued.", "%(n)s fapiaos wait to be issued.", "n"
            ),
        ),
    ]
    return [
        Thing(words % {"n": count}, reverse(name), _("Decide") if decides else _("Look"))
        for count, name, decides, words in found
        if count
    ]
