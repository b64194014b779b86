"""Several rows of every list of money at once: three providers, three tenants, one month."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from billing import accounting_periods, invoices, reconciliation, statements
from billing.models import BankAccount, InvoiceLine
from inventory.models import Organisation
from tests import world
from tests.api.client import Api
from tests.api.market import Market, key
from tests.api.rows import accounting, documents, earnings, rail
from tests.billing import books, online, paying
from tests.marketplace import scene

COUNT = 3


class Many:
    """Makes them in the order in which they depend on each other."""

    def __init__(self, market: Market) -> None:
        self.market = market
        numbers = range(COUNT)
        self.providers = [world.provider(f"Aurora {n}") for n in numbers]
        self.tenants = [world.tenant(f"Borealis {n}") for n in numbers]
        self.as_provider = [Api(key(each)) for each in self.providers]
        self.as_tenant = [Api(key(each)) for each in self.tenants]

    def make(self) -> None:
        self.trade()
        self.document()
        self.pay_out()
        self.go_by_bank()
        self.go_online()
        self.keep_books()

    def trade(self) -> None:
        """A month of use; the first tenant rents from everybody."""
        for number, tenant in enumerate(self.tenants):
            books.top_up(tenant, 10_000_000, f"M-{number}")
        for number, provider in enumerate(self.providers):
            listing = scene.listing(world.pool(owner=provider))
            for tenant in dict.fromkeys((self.tenants[0], self.tenants[number])):
                books.live(books.lease(listing, tenant=tenant))

    def document(self) -> None:
        invoices.finalise_due(at=documents.FINAL, limit=100)
        statements.issue_due(at=datetime.now(UTC), limit=100)
        # Contested after it was settled, so that there is something to pay out.
        self.settle()
        for api in self.as_tenant:
            (invoice,) = api.get("/invoices").data
            line = api.get(f"/invoices/{invoice['id']}/lines").data[0]["id"]
            api.do("/contests", {"line": line, "reason": "the network was down"})
            body: dict[str, Any] = {"line": line, "gross_minor": 100, "reason": "a minute"}
            note = self.market.as_operator.do("/credit-notes", body)
            self.market.as_second_operator.do(f"/credit-notes/{note['id']}/approve")
            asked = {
                "kind": "general",
                "buyer": {"title": "B"},
                "parts": [{"invoice": invoice["id"]}],
            }
            api.do("/fapiaos", asked)

    def settle(self) -> None:
        for number, provider in enumerate(self.providers):
            named = {"provider": provider.public_id}
            self.market.as_operator.do(
                "/payout-terms", {**earnings.terms_body(self.market), **named}
            )
            self.market.as_operator.do(
                "/settlements", {**earnings.settle_body(self.market), **named}
            )
            fapiao = {**earnings.input_fapiao_body(self.market), "number": f"{number:08d}"}
            self.as_provider[number].do("/input-fapiaos", fapiao)

    def pay_out(self) -> None:
        """Each in a file of its own; what is owed comes later, or it would be taken out."""
        rail.operators_account(self.market)
        for number, provider in enumerate(self.providers):
            paying.payee(provider=provider, number=f"622202020001122334{number}")
            body = {"provider": provider.public_id, "currency": "CNY"}
            payout = self.market.as_operator.do("/payouts", body)
            self.market.as_second_operator.do(f"/payouts/{payout['id']}/approve")
            self.market.as_operator.do("/payout-files", {"currency": "CNY", "layout": "plain"})
            paying.owing(provider)
            owed = {**body, "amount_minor": 1, "bank_reference": f"R-{number}"}
            self.market.as_operator.do("/provider-repayments", owed)

    def go_by_bank(self) -> None:
        operator, second = self.market.as_operator, self.market.as_second_operator
        (own,) = operator.get(f"/bank-accounts?organisation={self.market.operator.public_id}").data
        for number, api in enumerate(self.as_tenant):
            name = self.tenants[number].name
            account = api.do("/bank-accounts", rail.account_body(f"77777{number}", name))["id"]
            operator.do(f"/bank-accounts/{account}/check")
            second.do(f"/bank-accounts/{account}/decide", {"verified": True})
            BankAccount.objects.update(usable_from=world.T0)  # it has cooled
            asked = {"account": account, "amount_minor": 500, "currency": "CNY", "reason": "unused"}
            refund = api.do("/refunds", asked)["id"]
            operator.do(f"/refunds/{refund}/check")
            second.do(f"/refunds/{refund}/approve")
            operator.do("/payment-files", {"account": own["id"], "refunds": [refund]})
            raw = rail.STATEMENT.replace(b"S1", f"S{number}".encode())
            reply = operator.send(
                "POST",
                f"/bank-statements?account={own['id']}&apply=true&reason=late",
                raw=raw,
                content_type="text/csv",
            )
            assert reply.status == 200, reply

    def go_online(self) -> None:
        for tenant, provider in zip(self.tenants, self.providers, strict=True):
            paid = _paid(tenant)
            online.refund(paid, 1_000)
            online.hands.dispute(str(paid.intent_id))
            online.deliver()
            online.account(provider)

    def keep_books(self) -> None:
        """Lines are matched; the months close last, since nothing is posted there any more."""
        reconciliation.match_due(at=datetime.now(UTC))
        first, second = books.people()
        for month in (6, 7, 8):
            self.market.as_operator.do("/vouchers", accounting.voucher_body(self.market))
            facts: dict[str, Any] = {"at": datetime.now(UTC), "actor": world.SYSTEM}
            row = accounting_periods.begin_closing(month=date(2026, month, 1), user=first, **facts)
            accounting_periods.close_period(period_public_id=row.public_id, user=second, **facts)

    @property
    def longest_invoice(self) -> str:
        """Of the tenant that rents from everybody."""
        row = InvoiceLine.objects.filter(invoice__party=self.tenants[0], corrects=None)[0]
        return row.invoice.public_id


def _paid(tenant: Organisation) -> Any:
    row = online.start(tenant=tenant)
    online.hands.pay(str(row.intent_id))
    online.deliver()
    row.refresh_from_db()
    return row
