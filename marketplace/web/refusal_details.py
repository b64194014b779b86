"""What verbs say beside the title of a refusal, so that it can be said in another language.

Verbs speak English, as programs read it. A place in a sentence is written as in a format; a
test finds every sentence that is raised and not listed here.
"""

from __future__ import annotations

import re
from functools import cache

from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_noop as _

DETAILS = (
    # periods and time
    _("The end must lie after the start"),
    _("An instant needs a zone, for example 2026-12-01T00:00:00Z"),
    _("An instant lies outside the years 2000 to 2200"),
    _("The end needs a time zone and lies before 2200"),
    _("A price changes on a full hour (UTC) of the lease that is still to come"),
    _("A basket has between 1 and %(most)s offers"),
    _("A trial starts in the future, on the listing's grid"),
    _("A trial goes on from a full hour (UTC) to come, or from its end"),
    # machines
    _("More racks are occupied than built"),
    _("A PUE lies between 1 and 5"),
    _("An oversubscription lies between 1 (none) and 100"),
    _("A network stands in at least one site"),
    _("No such chip in the catalogue"),
    _("A unit is a whole node or a slice of 1, 2 or 4 cards that divides it"),
    _("The pool is retired"),
    _("A serial is named twice"),
    _("A serial belongs to another pool"),
    _("A serial belongs to a retired node"),
    _("A node is named twice or is not in this pool"),
    _("A node is named twice"),
    _("The named nodes do not hold %(count)s units, or some hold none"),
    _("Name at least one block, and each once"),
    _("Availability is that of a block or of a pool"),
    _("The number of units lies between 1 and %(most)s"),
    _("The number of nodes lies between 1 and 1000000"),
    _("An external allocation is own use or a contract made elsewhere"),
    _("Nodes of a future allocation are picked at its start"),
    _("A failure names its one node and has begun"),
    _("Nodes of a planned outage are picked when it starts"),
    _("The node is expected back later than now"),
    _("The period is over"),
    _("The period has begun already"),
    _("A failure is entered within a week"),
    _("%(state)s is not a state of an instance"),
    _("A correction is about the past"),
    _("Corrections reach back %(days)s days"),
    _("The body is empty"),
    # people and keys
    _("An organisation provides, rents or resells"),
    _("A unified social credit code has 18 characters without I, O, S, V and Z"),
    _("The check digit of the unified social credit code is wrong"),
    _("Say why the organisation is rejected"),
    _("No such role"),
    _("An auditor's membership ends on a date in the future"),
    _("A project of this name exists already"),
    _("Unknown scopes"),
    _("A key expires in the future"),
    _("Not an address or network: %(text)s"),
    _("The key would outlive its maker"),
    _("The maker may not be used from there"),
    _("A key of one project makes keys of that project only"),
    _("Only an organisation can hold"),
    _("This organisation is not registered as a tenant"),
    # quotas
    _("A quota is of spend, of card-hours or of card-hours held"),
    _("A quota is of each calendar month, or of all deals"),
    _("A quota of spend has a currency and a limit in minor units"),
    _("A quota of card-hours has a limit in card-hours and no currency"),
    _("A quota is of an organisation, of one project or of one key"),
    _("The operator sets quotas of whole organisations"),
    _("What may be held at one time is set by the operator, for an organisation"),
    _("Set by the operator: its own people change it"),
    _("A key does not change the quotas that bind it"),
    # prices, terms, offers
    _("Only sale through the operator is available, at once or by approval"),
    _("A component of cost is zero or more, and their sum a possible price"),
    _("The basis is card_hour, node_hour or node_month"),
    _("The schedule is prepaid or deposit_hourly"),
    _("The amount must be more than zero, and a possible price"),
    _("The VAT code is not known"),
    _("A deposit lies between %(least)s and 10000 basis points"),
    _("Discounts go up tier by tier, and leave a tenth of the price at the least"),
    _("At this price no deal could be booked: it is too high"),
    _("The billing zone is not known"),
    _("The billing zone is not whole hours from UTC"),
    _("Lengths run from one hour to five years, the shortest first"),
    _("The minimum lies between one unit and the units listed"),
    _("The largest lease is no smaller than the smallest"),
    _("A step is one at least, and no more than could be asked for"),
    _("The time to decide lies between one hour and 30 days"),
    _("Without a trial there is nothing to convert"),
    _("A trial has units of the listing, at most 30 days, and a price"),
    _("The terms ask for more units than would be listed"),
    _("The start grid divides a day, and is a minute at least"),
    _("A cancellation step is [hours before the start, basis points]"),
    _("Cancellation steps go down, in hours and in what is refunded"),
    _("A step of leaving is [hours before the new end, basis points]"),
    _("Steps of leaving go down, in hours and in what is refunded"),
    _("A step of withdrawal is [hours of notice, basis points]"),
    _("Steps of withdrawal go down in hours and up in compensation"),
    _("Between lead and turnaround no lease of the minimum length fits the period"),
    _("A withdrawn listing has no price"),
    _("A withdrawn listing has no terms"),
    _("A withdrawn listing has no size"),
    _("A threshold is [minor units, members]"),
    _("Thresholds go up, in amount and in members, from two on"),
    _("At most %(thresholds)s thresholds, and %(members)s members"),
    _("Only %(able)s members can decide: a deal could never be approved"),
    _("Say why the reservation is rejected"),
    _("The provider did not decide in time"),
    _("It is over already"),
    _("%(lease)s is not running"),
    _("%(allocation)s is %(state)s, which no lease can follow"),
    _("a lease cannot go from %(current)s to %(target)s"),
    _("A confirmed one is given back with its lease"),
    _("A lease lasts as long as the steps of its terms allow"),
    _("A lease lasts whole hours and grows by later ends"),
    _("The new end lies ahead, within the lease"),
    _("A lease is cut short at a full hour (UTC)"),
    _("A cancellation has no end; every other change has one"),
    _("Say why the lease is withdrawn"),
    _("An answer takes between 1 and %(most)s hours"),
    _("Propose another end, or more units or another price from an hour on"),
    _("A share lies between 0 and 10000 basis points"),
    _("The number of units lies between 1 and 1000000"),
    _("Units are added from a full hour (UTC) of the lease that is to come"),
    _("%(amendment)s is %(state)s"),
    _("The units or the period lie outside the listing's terms"),
    _("Say how many hours, or between how many and how many"),
    _("A grid of starts is a minute or more and divides a day"),
    _("At most %(days)s days"),
    _("At most %(steps)s steps"),
    _("Search again for a fresh offer"),
    _("The lease would have started before it was held"),
    _("Ask for units, for cards or for nodes, one of the three"),
    _("Ask for at least one, and no more than there can be"),
    _("A lease lasts from an hour to five years"),
    _("Between 1 and %(most)s offers are shown"),
    _("The highest price is more than zero"),
    _("Give starting_after or ending_before, not both"),
    # money
    _("There is no operator whose books could be closed"),
    _("No such accounting period"),
    _("A rate is a positive number"),
    _("A rate has at most 20 decimals"),
    _("An exchange sells one currency and buys another"),
    _("Every currency that is held needs a rate"),
    _("A credit limit lapses later than now"),
    _("%(code)s is not a currency of this market"),
    _("The total is larger than the books can hold"),
    _("Write a plain number in the digits 0-9, with a point before decimals, such as 6.80"),
    _("At most %(decimals)s decimals are possible here"),
    _("The amount must be more than zero"),
    _("The amount is too large"),
    _("A hold is of a positive amount"),
    _("A receipt needs the bank's reference and the payer's name"),
    _("A transfer cannot have been received in the future"),
    _("The amount must lie between 1 and %(most)s minor units"),
    _("Say why the receipt is rejected"),
)
_PLACE = re.compile(r"%\((\w+)\)s")


def translated(detail: str) -> str:
    """The sentence in the reader's language; empty where it is not known in it."""
    for template in DETAILS:
        if found := _pattern(template).fullmatch(detail):
            return gettext(template) % found.groupdict()
    return detail if (get_language() or "").startswith("en") else ""


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """Matches the sentence with anything in its places."""
    pieces = _PLACE.split(template)
    words = [re.escape(piece) for piece in pieces[::2]]
    places = [f"(?P<{name}>.+)" for name in pieces[1::2]] + [""]
    return re.compile("".join(a + b for a, b in zip(words, places, strict=True)), re.DOTALL)
