"""A settlement on paper, for its provider: what it earned, what was kept back, what is paid."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from billing import bank_accounts, paper, settlement_lines
from billing.models import Settlement
from billing.paper import Block, Column, Document, Language, Table
from billing.settlement_lines import Sums
from inventory.periods import Period
from marketplace import money_text
from marketplace.models import Lease


def pdf(row: Settlement, *, language: Language) -> bytes:
    """The statement (结算单), the same bytes whenever it is made in the same state."""
    with translation.override(paper.LOCALES[language]):
        return paper.render(_document(row, language))


def month_of(row: Settlement) -> str:
    """The calendar month, as 2026-06."""
    return f"{Period.of(row.period).start.astimezone(ZoneInfo(settings.BILLING_ZONE)):%Y-%m}"


def _document(row: Settlement, language: Language) -> Document:
    provider = row.provider
    whole = settlement_lines.totals([row])[row.pk]
    name = provider.name_en if language == "en" and provider.name_en else provider.name
    return Document(
        language=language,
        title=_("Demand for repayment") if row.net_minor < 0 else _("Settlement statement"),
        number=row.public_id,
        dated=row.created_at,
        facts=[
            (_("Month"), month_of(row)),
            (_("Settled"), _day(row)),
            (_("State"), str(row.get_state_display())),
            *([(_("To be paid by"), row.due_date.isoformat())] if row.due_date else []),
        ],
        blocks=[
            Block(
                _("Provider"),
                [(_("Name"), name), (_("Credit code"), provider.credit_code or "–")],
            ),
            Block(_("Issued by"), [(_("Name"), _operator(row.currency))]),
        ],
        tables=[_by_lease(row, whole), *_payouts(row)],
        sums=_sums(row, whole),
        notes=_notes(row, whole),
        footer=f"{row.public_id} · {month_of(row)}",
    )


def _by_lease(row: Settlement, whole: Sums) -> Table:
    found = settlement_lines.by_lease(row)
    leases = Lease.objects.select_related("allocation__pool").in_bulk([pk for pk, _sums in found])
    titles = [_("Gross"), *_direct_title(whole), _("VAT"), _("Fee"), _("Net")]
    return Table(
        title=_("By lease"),
        columns=[
            Column(_("Lease"), 1.6),
            Column(_("Pool"), 1.6),
            Column(_("Charges"), 0.9, "right"),
            Column(_("Card-hours"), 1.1, "right"),
            *(Column(title, 1.3, "right") for title in titles),
        ],
        rows=[
            [
                f"…{leases[pk].public_id[-10:]}",
                leases[pk].allocation.pool.name,
                *_figures(row, sums, whole),
            ]
            for pk, sums in found
        ],
        totals=[[_("In all"), "", *_figures(row, whole, whole)]],
    )


def _direct_title(whole: Sums) -> list[str]:
    """A column of its own only where somebody paid the provider itself."""
    return [_("Paid to you directly")] if whole.direct_minor else []


def _figures(row: Settlement, sums: Sums, whole: Sums) -> list[str]:
    direct = [sums.direct_minor] if whole.direct_minor else []
    minors = [sums.gross_minor, *direct, sums.vat_minor, sums.fee_minor, sums.net_minor]
    return [f"{sums.line_count:,}", f"{sums.card_hours:,.2f}", *_amounts(row, minors)]


def _payouts(row: Settlement) -> list[Table]:
    lines = row.payout_lines.filter(is_live=True).select_related("payout").order_by("pk")
    if not lines:
        return []
    return [
        Table(
            title=_("Payouts"),
            columns=[
                Column(_("Payout"), 2),
                Column(_("Part"), 1),
                Column(_("State"), 1),
                Column(_("Account"), 2),
                Column(_("Amount"), 1.3, "right"),
            ],
            rows=[
                [
                    f"…{line.payout.public_id[-10:]}",
                    str(line.get_part_display()),
                    str(line.payout.get_state_display()),
                    f"…{line.payout.payee_account[-4:]}",
                    *_amounts(row, [line.amount_minor]),
                ]
                for line in lines
            ],
        )
    ]


def _sums(row: Settlement, whole: Sums) -> list[tuple[str, str]]:
    def text(minor: int) -> str:
        return f"{_amounts(row, [minor])[0]} {row.currency}"

    parts = [
        (_("Gross"), whole.gross_minor),
        (_("Paid to you directly"), -whole.direct_minor),
        (_("VAT"), -whole.vat_minor),
        (_("Fee"), -whole.fee_minor),
        (_("Net"), whole.net_minor),
        (_("Kept in reserve"), -row.reserve_minor),
        (_("Taken for what was owed"), -row.paid_back_minor),
    ]
    last = (
        (_("To be paid back"), -row.net_minor)
        if row.net_minor < 0
        else (_("Payable"), row.payable_minor)
    )
    always = {parts[number][0] for number in (0, 2, 3, 4)}
    kept = [part for part in parts if part[0] in always or part[1]]
    return [(title, text(minor)) for title, minor in [*kept, last]]


def _notes(row: Settlement, whole: Sums) -> list[str]:
    notes = []
    if whole.direct_minor:
        notes.append(
            _(
                "What tenants paid you directly is yours already; of it the fee and the VAT on the"
                " fee are taken off here."
            )
        )
    if row.reserve_until is not None:
        until = row.reserve_until.astimezone(ZoneInfo(settings.BILLING_ZONE)).date().isoformat()
        notes.append(_("The reserve is free from %(day)s on.") % {"day": until})
    if row.terms is not None:
        notes.append(
            _("By payout terms version %(n)s: settled %(days)s days after the month.")
            % {"n": row.terms.version, "days": row.terms.settle_after_days}
        )
        if row.terms.needs_fapiao:
            notes.append(_("It is paid out against the provider's fapiaos."))
    return notes


def _amounts(row: Settlement, minors: Sequence[int]) -> list[str]:
    return [
        ("−" if minor < 0 else "") + money_text.plain_money(abs(minor), row.currency)
        for minor in minors
    ]


def _day(row: Settlement) -> str:
    return row.created_at.astimezone(ZoneInfo(settings.BILLING_ZONE)).date().isoformat()


def _operator(currency: str) -> str:
    accounts = bank_accounts.of_operator(currency)
    return accounts[0].holder_name if accounts else "Cardhour"
