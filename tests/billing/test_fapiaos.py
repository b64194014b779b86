"""Fapiaos: amounts conserved, issued by hand or by a service, taken back by red notes."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from billing import fapiaos, invoices, rating
from billing.fapiaos import Buyer, Part
from billing.fapiaos.adapters import AdapterError, Issued, Order
from billing.fapiaos.files import OFD, PDF, XML
from billing.models import Fapiao, FapiaoFile, FapiaoPart, Invoice
from inventory.errors import Invalid, NotFound
from inventory.transitions import IllegalTransition
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.world import T0, hours

pytestmark = pytest.mark.django_db

FINAL = datetime(2026, 7, 3, 16, tzinfo=UTC)
SOON = FINAL + hours(30)
CODE = "91350211M000100Y46"
BUYER = Buyer(title="Borealis", tax_number=CODE)
DAY = date(2026, 7, 5)
PAPER = b"%PDF-1.7\n...\n%%EOF\n"


@pytest.fixture(autouse=True)
def months() -> list[Invoice]:
    """Two months' invoices, 702 and 78 hours of 54.40."""
    world.operator()
    books.top_up(world.tenant(), 10**8)
    lease = books.activate(books.lease(scene.listing(), start=10, end=900))
    books.meter(lease, until=T0 + hours(790))
    rating.rate_due(at=FINAL, limit=10_000)
    invoices.finalise_due(at=datetime(2026, 8, 3, 16, tzinfo=UTC), limit=10)
    rows = list(Invoice.objects.order_by("month"))
    assert [row.total_minor for row in rows] == [702 * 5440, 78 * 5440]
    return rows


def ask(*parts: Part, kind: str = "special", **changes: Any) -> Fapiao:
    tenant = world.tenant()
    facts: dict[str, Any] = {"buyer": BUYER, "at": FINAL, "actor": world.actor(tenant), **changes}
    return fapiaos.request(kind=kind, parts=parts, user=world.member(tenant), **facts)


def issue(row: Fapiao, number: str = "26112000000012345678", **changes: Any) -> Fapiao:
    facts: dict[str, Any] = {
        "issued_date": DAY, "at": SOON, "actor": world.actor(world.operator()),
        "upload": fapiaos.read_upload(io.BytesIO(PAPER)), **changes,
    }  # fmt: skip
    return fapiaos.issue(fapiao_public_id=row.public_id, number=number, **facts)


def reverse(row: Fapiao, number: str = "26112000000087654321") -> Fapiao:
    return fapiaos.reverse(
        fapiao_public_id=row.public_id, number=number, red_date=DAY, reason="wrong title",
        upload=None, at=SOON, actor=world.actor(world.operator()),
    )  # fmt: skip


def test_one_over_two_invoices_and_two_over_one(months: list[Invoice]) -> None:
    june, july = months
    first = ask(Part(june.public_id), Part(july.public_id, 1000))
    assert first.amount_minor == june.total_minor + 1000
    with scene.refused(fapiaos.AmountNotLeft):
        ask(Part(june.public_id, 1))
    second = ask(Part(july.public_id), kind="general")
    assert second.amount_minor == july.total_minor - 1000
    fapiaos.withdraw(fapiao_public_id=first.public_id, at=FINAL, actor=world.actor(world.tenant()))
    assert ask(Part(july.public_id)).amount_minor == 1000


def test_the_database_conserves_amounts_too(months: list[Invoice]) -> None:
    row = ask(Part(months[0].public_id))

    def above() -> None:
        FapiaoPart.objects.create(fapiao=row, invoice=months[1], amount_minor=1)
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    with pytest.raises(DatabaseError, match="sum of its parts"), transaction.atomic():
        above()


def test_requested_issued_reversed_reissued(months: list[Invoice]) -> None:
    june = months[0]
    row = issue(ask(Part(june.public_id)))
    assert (row.state, row.number, row.files.get().media_type) == (
        "issued", "26112000000012345678", PDF,
    )  # fmt: skip
    with scene.refused(IllegalTransition):
        fapiaos.withdraw(fapiao_public_id=row.public_id, at=SOON, actor=world.actor(world.tenant()))
    with scene.refused(fapiaos.AmountNotLeft):
        ask(Part(june.public_id))

    row = reverse(row)
    again = ask(Part(june.public_id), replaces=row.public_id)
    assert again.replaces == row
    with scene.refused(fapiaos.DuplicateFapiao):
        issue(again)
    assert issue(again, "26112000000012345679").state == "issued"
    assert not books.differences()


def test_a_tax_number_is_checked(months: list[Invoice]) -> None:
    part = Part(months[0].public_id)
    for number in ("91350211M000100Y47", "123", "9135021OM000100Y43", "x" * 18):
        with scene.refused(Invalid):
            ask(part, buyer=Buyer(title="B", tax_number=number))
    with scene.refused(Invalid):
        ask(part, buyer=Buyer(title="B"))
    wide = "９１３５０２１１Ｍ０００１００Ｙ４６"
    assert ask(part, buyer=Buyer(title=" 甲\x00 ", tax_number=wide)).tax_number == CODE


def test_nobody_else_asks_and_drafts_are_not_for_it(months: list[Invoice]) -> None:
    for other in (world.provider(), world.stranger(), world.operator()):
        with scene.refused(NotFound):
            ask(Part(months[0].public_id), actor=world.actor(other))


def test_dates_and_numbers_that_cannot_be(months: list[Invoice]) -> None:
    row = ask(Part(months[0].public_id))
    for number, day in (("1", DAY), ("26112000000012345678", date(2026, 7, 6)),
                        ("26112000000012345678", date(2026, 7, 3)), ("发票" * 5, DAY)):  # fmt: skip
        with scene.refused(Invalid):
            issue(row, number, issued_date=day)
    assert FapiaoFile.objects.count() == 0


def test_a_file_is_what_it_is_not_what_it_is_called(settings: Any) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("OFD.xml", "<x/>")
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as made:
        made.writestr("a.exe", "MZ")
    good = {PAPER: PDF, archive.getvalue(): OFD, b"\xef\xbb\xbf<?xml version='1.0'?><a/>": XML}
    for content, media_type in good.items():
        assert fapiaos.read_upload(io.BytesIO(content)).media_type == media_type
    for content in (b"", b"MZ", b"<html>", other.getvalue(), b"%PDF-1.7", b"PK\x03\x04x"):
        with scene.refused(fapiaos.FileRefused):
            fapiaos.read_upload(io.BytesIO(content))
    settings.FAPIAO_FILE_BYTES = 10
    with scene.refused(fapiaos.FileRefused):
        fapiaos.read_upload(io.BytesIO(PAPER))


class Strict:
    """A service as strict as the real one: the same order twice is one fapiao, VAT must add up."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.answers = 0

    def issue(self, order: Order) -> Issued | None:
        known = self.orders.setdefault(order.reference, order)
        if known != order:
            raise AdapterError("the reference was used for another order", permanent=True)
        if sum(item.net_minor + item.vat_minor for item in order.items) != order.amount_minor:
            raise AdapterError("the items do not add up", permanent=True)
        if order.kind == "special" and not order.buyer.tax_number:
            raise AdapterError("no tax number", permanent=True)
        if order.buyer.title == "Forbidden":
            raise AdapterError("the title is not registered", permanent=True)
        self.answers += 1
        if self.answers == 1:
            raise AdapterError("busy", permanent=False)
        if self.answers == 2:
            return None
        return Issued(f"2611{len(self.orders):016d}", DAY, PAPER)


def test_a_service_issues_what_is_asked_and_is_asked_again(months: list[Invoice]) -> None:
    row = ask(Part(months[0].public_id), Part(months[1].public_id, 777))
    service = Strict()

    runs = [fapiaos.submit_due(at=SOON, limit=10, adapter=service) for _ in range(4)]

    assert runs == [0, 0, 1, 0]
    row.refresh_from_db()
    assert (row.state, row.adapter_reference) == ("issued", row.public_id)
    assert row.files.count() == 1


def test_what_a_service_refuses_for_good_is_told_to_the_buyer(months: list[Invoice]) -> None:
    row = ask(Part(months[0].public_id), buyer=Buyer(title="Forbidden", tax_number=CODE))
    assert fapiaos.submit_due(at=SOON, limit=10, adapter=Strict()) == 0
    row.refresh_from_db()
    assert (row.state, row.reason) == ("withdrawn", "the title is not registered")
    assert fapiaos.submit_due(at=SOON, limit=10) == 0  # by hand: nothing to submit


def test_details_stand_on_the_next_document(months: list[Invoice]) -> None:
    assert months[0].buyer["tax_number"] == ""
    details = Buyer(title="北极星智能", tax_number=CODE, address="北京", bank_account="622")
    row = fapiaos.put_details(
        organisation_id=world.tenant().pk, details=details, at=SOON,
        actor=world.actor(world.tenant()),
    )  # fmt: skip
    assert (row.title, row.address) == ("北极星智能", "北京")
    months[0].refresh_from_db()
    assert months[0].buyer["name"] == "Borealis"
