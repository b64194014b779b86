"""The console's menu: what a member of an organisation finds, by kind and scope."""

from __future__ import annotations

from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from marketplace.web.entry import Party, Visit


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the menu."""

    label: str
    url: str
    current: bool


@dataclass(frozen=True, slots=True)
class Section:
    """A titled group of lines."""

    title: str
    items: list[Item]


# title, [(label, URL name, party, scope)]
_MENU: list[tuple[object, list[tuple[object, str, Party, str]]]] = [
    (
        _("Supply"),
        [
            (_("Overview"), "overview", "provider", "listings:read"),
            (_("Centres"), "centres", "provider", "inventory:read"),
            (_("Pools"), "pools", "provider", "inventory:read"),
            (_("Node health"), "health", "provider", "inventory:read"),
            (_("Tasks"), "manual_tasks", "provider", "inventory:read"),
            (_("Listings"), "listings", "provider", "listings:read"),
            (_("To be approved"), "approvals", "provider", "reservations:read"),
            (_("Reservations and leases"), "deals", "provider", "leases:read"),
        ],
    ),
    (
        _("Income"),
        [
            (_("Earnings"), "earnings", "provider", "settlements:read"),
            (_("Payouts"), "payouts", "provider", "settlements:read"),
            (_("Payout terms"), "payout_terms", "provider", "settlements:read"),
            (_("Bank accounts"), "bank_accounts", "provider", "wallet:read"),
            (_("Payouts over Stripe"), "payout_account", "provider", "settlements:read"),
            (_("Paid to you directly"), "direct", "provider", "reservations:read"),
            (_("Fapiaos to the operator"), "input_fapiaos", "provider", "settlements:read"),
            (_("Invoices"), "invoices", "provider", "invoices:read"),
            (_("Metering disputes"), "meter_disputes", "provider", "usage:read"),
        ],
    ),
    (
        _("Demand"),
        [
            (_("Find capacity"), "search", "tenant", "offers:read"),
            (_("My leases"), "rented", "tenant", "leases:read"),
            (_("SSH keys"), "ssh_keys", "tenant", "leases:read"),
            (_("Faults and spares"), "faults", "tenant", "offers:read"),
            (_("Metering disputes"), "meter_disputes", "tenant", "usage:read"),
            (_("Quotas"), "quotas", "tenant", "reservations:read"),
        ],
    ),
    (
        _("Payments"),
        [
            (_("Wallet"), "wallet", "tenant", "wallet:read"),
            (_("Pay online"), "topups", "tenant", "wallet:read"),
            (_("Bank accounts"), "bank_accounts", "tenant", "wallet:read"),
            (_("Refunds by bank"), "refunds", "tenant", "wallet:read"),
            (_("Invoices"), "invoices", "tenant", "invoices:read"),
            (_("Fapiaos"), "fapiaos", "tenant", "invoices:read"),
        ],
    ),
    (
        _("Market"),
        [
            (_("Card-hour funnel"), "audit", "operator", "audit:read"),
            (_("Organisations"), "organisations", "operator", "audit:read"),
            (_("All leases"), "all_leases", "operator", "audit:read"),
            (_("Faults and spares"), "faults", "operator", "offers:read"),
            (_("Metering disputes"), "meter_disputes", "operator", "usage:read"),
        ],
    ),
    (
        _("Money in"),
        [
            (_("Bank receipts"), "receipts", "operator", "audit:read"),
            (_("Bank statements"), "statements", "operator", "audit:read"),
            (_("Bank lines"), "bank_lines", "operator", "audit:read"),
            (_("Bank accounts"), "bank_accounts", "operator", "audit:read"),
            (_("Refunds by bank"), "refunds", "operator", "audit:read"),
            (_("Online payments"), "online_payments", "operator", "audit:read"),
            (_("Invoices"), "invoices", "operator", "invoices:read"),
            (_("Fapiaos"), "fapiaos", "operator", "invoices:read"),
            (_("Overdue"), "overdue", "operator", "audit:read"),
        ],
    ),
    (
        _("Money out"),
        [
            (_("Settlements"), "settlements", "operator", "audit:read"),
            (_("Payouts"), "payouts", "operator", "audit:read"),
            (_("Providers' fapiaos"), "input_fapiaos", "operator", "audit:read"),
        ],
    ),
    (
        _("Books"),
        [
            (_("Reconciliation"), "reconciliation", "operator", "audit:read"),
            (_("Vouchers"), "vouchers", "operator", "audit:read"),
            (_("Trial balance"), "trial_balance", "operator", "audit:read"),
            (_("Closing"), "closing", "operator", "audit:read"),
        ],
    ),
    (
        _("Service"),
        [
            (_("Incidents"), "incidents", "any", "leases:read"),
            (_("Cases"), "cases", "any", "cases:read"),
        ],
    ),
    (
        _("Settings"),
        [
            (_("Members"), "members", "any", ""),
            (_("API keys"), "keys", "any", "keys:write"),
            (_("Notifications"), "channels", "any", "journal:read"),
            (_("Journal"), "journal", "any", "journal:read"),
        ],
    ),
]


def sections(visit: Visit, path: str) -> list[Section]:
    """The groups this visitor may open, with the line that `path` belongs to marked."""
    result = []
    for title, lines in _MENU:
        items = [
            Item(label=str(label), url=url, current=_is_current(path, url))
            for label, name, party, scope in lines
            if visit.is_party(party) and (not scope or visit.actor.may(scope))
            for url in [reverse(name)]
        ]
        if items:
            result.append(Section(title=str(title), items=items))
    return result


def _is_current(path: str, url: str) -> bool:
    return path == url if url == "/" else path.startswith(url)
