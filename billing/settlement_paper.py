"""A settlement on paper, for its provider: what it earned, what was kept back, what is paid."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count, Sum
from django.utils import translation
from django.utils.translation import gettext as _

from billing import bank_accounts, paper
from billing.models import Charge, Settlement
from billing.paper import Block, Column, Document, Language, Table
from inventory.periods import Period
from marketplace import money_text
from marketplace.models import Lease

_CODES: dict[Language, str] = {"zh": "zh-hans", "en": "en"}


def pdf(row: Settlement, *, language: Language) -> bytes:
    """The statement (结算单), the same bytes whenever it is made in the same state."""
    with translation.override(_CODES[language]):
        return paper.render(_document(row, language))


def month_of(row: Settlement) -> str:
    """The calendar month, as 2026-06."""
    return f"{Period.of(row.period).start.astimezone(ZoneInfo(settings.BILLING_ZONE)):%Y-%m}"


def _document(row: Settlement, language: Language) -> Document:
    provider = row.provider
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
        tables=[_by_lease(row), *_payouts(row)],
        sums=_sums(row),
        notes=_notes(row),
        footer=f"{row.public_id} · {month_of(row)}",
    )


def _by_lease(row: Settlement) -> Table:
    sums = (
        Charge.objects.filter(settlement_line__settlement=row)
        .values_list("lease_id", "lease__allocation__pool__name")
        .annotate(
            Count("pk"), Sum("card_seconds"), Sum("gross_minor"), Sum("vat_minor"),
            Sum("fee_minor"), Sum("provider_minor"),
        )
        .order_by("lease_id")
    )  # fmt: skip
    found = list(sums)
    names = dict(
        Lease.objects.filter(pk__in=[line[0] for line in found]).values_list("pk", "public_id")
    )
    ids = {pk: str(public_id) for pk, public_id in names.items()}
    return Table(
        title=_("By lease"),
        columns=[
            Column(_("Lease"), 1.6),
            Column(_("Pool"), 1.6),
            Column(_("Charges"), 0.9, "right"),
            Column(_("Card-hours"), 1.1, "right"),
            *(Column(title, 1.3, "right") for title in (_("Gross"), _("VAT"), _("Fee"), _("Net"))),
        ],
        rows=[
            [f"…{ids[pk][-10:]}", pool, f"{n:,}", f"{seconds / 3600:,.2f}", *_amounts(row, rest)]
            for pk, pool, n, seconds, *rest in found
        ],
        totals=[
            [_("In all"), "", f"{row.line_count:,}", f"{row.card_seconds / 3600:,.2f}",
             *_amounts(row, [row.gross_minor, row.vat_minor, row.fee_minor, row.net_minor])]
        ],
    )  # fmt: skip


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


def _sums(row: Settlement) -> list[tuple[str, str]]:
    def text(minor: int) -> str:
        return f"{_amounts(row, [minor])[0]} {row.currency}"

    parts = [
        (_("Gross"), row.gross_minor),
        (_("VAT"), -row.vat_minor),
        (_("Fee"), -row.fee_minor),
        (_("Net"), row.net_minor),
        (_("Kept in reserve"), -row.reserve_minor),
        (_("Taken for what was owed"), -row.paid_back_minor),
    ]
    last = (
        (_("To be paid back"), -row.net_minor)
        if row.net_minor < 0
        else (_("Payable"), row.payable_minor)
    )
    kept = [part for number, part in enumerate(parts) if number < 4 or part[1]]
    return [(title, text(minor)) for title, minor in [*kept, last]]


def _notes(row: Settlement) -> list[str]:
    notes = []
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
