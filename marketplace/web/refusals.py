"""Refusals in the reader's language, with the numbers and names that matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext as _

from inventory.errors import DomainError
from marketplace.web import figures, refusal_details, states

Fields = Mapping[str, Any]

# Codes of many reasons: the detail alone says what is wrong.
_BARE = {
    "validation_failed",
    "refused",
    "forbidden",
    "invalid_amount",
    "invalid_period",
    "invalid_terms",
    "invalid_price",
    "invalid_request",
    "invalid_approval_rule",
}


def explain(error: DomainError) -> str:
    """What a person at a form needs to hear: the sentence of the code with its particulars,
    else the title, and the verb's own words where they say more."""
    title = gettext(str(error.title))
    detail = "" if error.detail == str(error.title) else refusal_details.translated(error.detail)
    if detail and error.code in _BARE:
        return detail
    if teller := _TELLERS.get(error.code):
        # Where the particulars are not what they were, the title still holds.
        with suppress(KeyError, TypeError, ValueError):
            if told := teller(error.fields()):
                return told
    if not detail:
        return title
    return _("%(title)s: %(detail)s") % {"title": title, "detail": detail}


def _capacity_taken(fields: Fields) -> str:
    if latest := fields.get("latest_end"):
        return _("Somebody else has the capacity: it could last until %(when)s at most.") % {
            "when": figures.instant(latest)
        }
    if sold := int(fields.get("sold_units", 0)):
        return ngettext(
            "%(n)s unit is held or leased at once; it cannot sell fewer.",
            "%(n)s units are held or leased at once; it cannot sell fewer.",
            sold,
        ) % {"n": f"{sold:,}"}
    free = int(fields["free_units"])
    if free <= 0:
        return _("Nothing is free over the whole period. Choose another period.")
    return ngettext(
        "Only %(n)s unit is free over the whole period. Take fewer, or another period.",
        "Only %(n)s units are free over the whole period. Take fewer, or another period.",
        free,
    ) % {"n": f"{free:,}"}


def _needs_new_price(fields: Fields) -> str:
    if latest := fields.get("latest_end"):
        return _(
            "From there on another price is asked. At its own price the lease could last until"
            " %(when)s at most; a longer one is agreed with the provider."
        ) % {"when": figures.instant(latest)}
    return _("From its end on another price is asked: agree with the provider on a new one.")


def _maintenance_too_soon(fields: Fields) -> str:
    return _(
        "Too few nodes are free of leases over that time. Maintenance that concerns leased nodes"
        " begins on %(when)s at the earliest."
    ) % {"when": figures.instant(fields["earliest_start"])}


def _lease_too_long(fields: Fields) -> str:
    return _("By its terms the lease lasts until %(when)s at most.") % {
        "when": figures.instant(fields["longest_end"])
    }


def _notice_too_short(fields: Fields) -> str:
    least = fields["least_hours"]
    if least is None:
        return _("The terms of this lease do not let its provider withdraw.")
    return ngettext(
        "The terms ask for at least %(n)s hour of notice. Choose a later end.",
        "The terms ask for at least %(n)s hours of notice. Choose a later end.",
        int(least),
    ) % {"n": f"{int(least):,}"}


def _no_such_trial(fields: Fields) -> str:
    units, length = int(fields["trial_units"]), int(fields["trial_hours"])
    if not units:
        return ""
    return ngettext(
        "A trial here has %(units)s unit for %(hours)s hours at most. Ask for less.",
        "A trial here has %(units)s units for %(hours)s hours at most. Ask for less.",
        units,
    ) % {"units": f"{units:,}", "hours": f"{length:,}"}


def _not_offered(fields: Fields) -> str:
    return {
        "in_the_past": _("The period is over already. Choose one that ends later."),
        "begun": _("The period has begun already. Choose a start from the present hour on."),
        "pool_draining": _("The pool is draining and sells nothing new. Let it sell again first."),
        "pool_retired": _("The pool is retired."),
        "block_closed": _("The listing is withdrawn: nothing more is sold there."),
        "outside_the_sellable_window": _("Beyond that nothing is on sale yet."),
    }.get(str(fields["why"]), "")


def _no_node_free(fields: Fields) -> str:
    found = int(fields["found_units"])
    return ngettext(
        "Nodes for %(n)s unit only are free, healthy and clean now.",
        "Nodes for %(n)s units only are free, healthy and clean now.",
        found,
    ) % {"n": f"{found:,}"}


def _node_in_use(_fields: Fields) -> str:
    return _("A node serves a lease or an external allocation, is out of use, or is not clean.")


def _node_not_clean(_fields: Fields) -> str:
    return _(
        "A machine on this node is not wiped. Try its release again, or wipe it by hand and say"
        " so; then bring the node back."
    )


def _invalid_state(fields: Fields) -> str:
    current, wanted = states.anyones(fields["current"]), states.anyones(fields["wanted"])
    if current is None:
        return ""
    if wanted is None:
        return _("Not possible: its state is “%(current)s” now.") % {"current": current}
    if current == wanted:
        return _("It is “%(current)s” already: this was done before.") % {"current": current}
    return _("Not possible: its state is “%(current)s” now and cannot become “%(wanted)s”.") % {
        "current": current,
        "wanted": wanted,
    }


def _nothing_to_remedy(fields: Fields) -> str:
    word = states.word("ins_", str(fields["state"]))
    return _("There is nothing to remedy: the machine's state is “%(state)s” now.") % {
        "state": word
    }


def _below_floor(fields: Fields) -> str:
    def text(name: str) -> str:
        return figures.price(int(fields[f"{name}_micro"]), str(fields["currency"]))

    return _(
        "Below the floor: a card-hour would leave %(keeps)s after VAT and fee, and costs %(floor)s"
        " (power %(power)s, depreciation %(depreciation)s, network %(network)s, operations"
        " %(operations)s). Ask more, or correct the costs."
    ) % {
        name: text(name)
        for name in ("keeps", "floor", "power", "depreciation", "network", "operations")
    }


def _floor_currency(_fields: Fields) -> str:
    return _("The costs of this pool are known in another currency than the price's.")


def _hold_limit(fields: Fields) -> str:
    return _(
        "%(asked)s card-hours would be held, and %(limit)s may be. Confirm or cancel other holds"
        " first."
    ) % {
        "asked": f"{int(fields['card_hours']):,}",
        "limit": f"{int(fields['limit_card_hours']):,}",
    }


def _quota_exceeded(fields: Fields) -> str:
    whose = {
        "organisation": _("the organisation"),
        "project": _("the project"),
        "key": _("the key"),
    }[str(fields["subject"])]
    known = "limit_minor" in fields or "limit_card_hours" in fields
    if not known:
        return _("A quota of %(whose)s allows no more.") % {"whose": whose}
    if fields["measure"] == "spend":
        currency = str(fields["currency"])
        used, asked, limit = (
            figures.amount(int(fields[f"{name}_minor"]), currency)
            for name in ("used", "asked", "limit")
        )
    else:
        used, asked, limit = (
            _("%(n)s card-hours") % {"n": f"{int(fields[f'{name}_card_hours']):,}"}
            for name in ("used", "asked", "limit")
        )
    return _(
        "A quota of %(whose)s allows %(limit)s; %(used)s of it is used, and this deal is %(asked)s."
    ) % {"whose": whose, "limit": limit, "used": used, "asked": asked}


def _insufficient_funds(fields: Fields) -> str:
    currency = str(fields["account"]).rpartition(":")[2]
    return _(
        "The wallet has %(available)s available, and %(needed)s is needed. Top it up first."
    ) % {
        "available": figures.amount(int(fields["available"]), currency),
        "needed": figures.amount(int(fields["needed"]), currency),
    }


def _debt_open(fields: Fields) -> str:
    owed = figures.amount(int(fields["owed_minor"]), str(fields["currency"]))
    return _("%(owed)s for hours used before is unpaid. Top up the wallet first.") % {"owed": owed}


def _duplicate_receipt(fields: Fields) -> str:
    return _("The bank reference %(reference)s is recorded already.") % {
        "reference": fields["bank_reference"]
    }


def _scope_escalation(fields: Fields) -> str:
    return _("A key cannot do more than its maker; you may not: %(scopes)s") % {
        "scopes": ", ".join(fields["missing"])
    }


def _ssh_key_invalid(fields: Fields) -> str:
    return _("This is no public SSH key: %(line)s") % {"line": fields["line"]}


def _file_unreadable(fields: Fields) -> str:
    reason = str(fields["reason"])
    if reason == "separator":
        separator = str(fields["separator"])
        return _(
            "The columns are separated by %(what)s, not by commas. Save the list as CSV with"
            " commas."
        ) % {"what": _("tabs") if separator == "\t" else f"“{separator}”"}
    if reason == "serial_column":
        return _(
            "No column holds the serial numbers. The first line has: %(columns)s. Name one of them"
            " “serial” or “序列号”."
        ) % {"columns": ", ".join(fields["columns"])}
    if reason == "too_large":
        return _("The file is larger than %(n)s MiB. Split it.") % {"n": fields["limit_mib"]}
    if reason == "too_many_rows":
        limit = f"{int(fields['limit_rows']):,}"
        return _("The file has more than %(n)s rows. Split it.") % {"n": limit}
    if reason == "not_csv":
        return _("Line %(line)s is not CSV. Look at its quotation marks.") % {
            "line": fields["line"]
        }
    return {
        "empty": _("The file is empty."),
        "no_rows": _("The file has a header and no rows: there is nothing to import."),
        "workbook": _(
            "This is a workbook (.xlsx or .xls), not a CSV. In the spreadsheet choose “Save as”"
            " and the type “CSV UTF-8”, then choose that file."
        ),
        "binary": _("This is not a text file. Save the list as CSV."),
        "encoding": _(
            "The characters are neither UTF-8 nor GBK. In the spreadsheet choose “Save as” and"
            " the type “CSV UTF-8”."
        ),
    }[reason]


def _says(words: Callable[[], str]) -> Callable[[Fields], str]:
    return lambda _fields: words()


_TELLERS: dict[str, Callable[[Fields], str]] = {
    "busy": _says(lambda: _("Busy right now; try again in a moment.")),
    "forbidden": _says(lambda: _("Your role does not allow this.")),
    "import_row_invalid": _says(lambda: _("Some rows cannot be taken; nothing was changed.")),
    "name_taken": _says(lambda: _("This name is in use already; choose another.")),
    "offer_invalid": _says(lambda: _("This is not one of our offers; search again.")),
    "hold_expired": _says(lambda: _("The hold has expired; search again.")),
    "listing_closed": _says(lambda: _("The listing sells nothing now; search again.")),
    "organisation_unverified": _says(
        lambda: _("The operator has to verify the organisation before it can trade.")
    ),
    "pool_not_selling": _says(
        lambda: _("The pool is draining and sells nothing new. Let it sell again first.")
    ),
    "nodes_needed": _says(
        lambda: _("It runs already: name the nodes that it uses, by serial number or host name.")
    ),
    "amendment_open": _says(
        lambda: _("Another change of this lease waits for an answer: answer it, or take it back.")
    ),
    "file_unreadable": _file_unreadable,
    "lease_too_long": _lease_too_long,
    "notice_too_short": _notice_too_short,
    "maintenance_too_soon": _maintenance_too_soon,
    "dispute_decided": _says(lambda: _("Somebody has decided this dispute already.")),
    "needs_new_price": _needs_new_price,
    "capacity_taken": _capacity_taken,
    "no_such_trial": _no_such_trial,
    "not_offered": _not_offered,
    "no_node_free": _no_node_free,
    "node_in_use": _node_in_use,
    "node_not_clean": _node_not_clean,
    "invalid_state": _invalid_state,
    "nothing_to_remedy": _nothing_to_remedy,
    "below_floor": _below_floor,
    "floor_currency": _floor_currency,
    "hold_limit": _hold_limit,
    "quota_exceeded": _quota_exceeded,
    "insufficient_funds": _insufficient_funds,
    "debt_open": _debt_open,
    "duplicate_receipt": _duplicate_receipt,
    "scope_escalation": _scope_escalation,
    "ssh_key_invalid": _ssh_key_invalid,
}
