"""Bringing a node list into a pool: look first, then apply."""

from __future__ import annotations

import base64
import binascii
import zlib
from contextlib import suppress
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory import node_import
from inventory.errors import DomainError
from inventory.models import Pool
from marketplace.web import refusals
from marketplace.web.entry import ConsoleRequest, attempt, find, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.pools import own

SHOWN = 200  # rows of a preview on the page
# The previewed file travels to the second step inside the form, packed, so that nothing of
# it is kept on the server. Far below DATA_UPLOAD_MAX_MEMORY_SIZE.
PACKED_LIMIT = 1_500_000

PROBLEMS = {
    "too_long": gettext_lazy("too long"),
    "serial_missing": gettext_lazy("the serial number is missing"),
    "duplicate_serial": gettext_lazy("the serial number stands in the file twice"),
    "formula": gettext_lazy("looks like a spreadsheet formula"),
    "totals_row": gettext_lazy("this is a row of totals; delete it"),
    "scientific_notation": gettext_lazy(
        "the spreadsheet has shortened this number; set the column to text and enter it anew"
    ),
    "invisible_character": gettext_lazy(
        "an invisible character stands here, named in brackets; delete the text and type it anew"
    ),
    "serial_in_other_pool": gettext_lazy("this node belongs to another pool"),
    "card_elsewhere": gettext_lazy("this card is in another node already"),
    "serial_retired": gettext_lazy("this node is retired"),
    "card_count_differs": gettext_lazy("the number of cards differs from the pool's"),
    "row_invalid": gettext_lazy("the row is not acceptable"),
}
VERDICTS = {
    "new": (gettext_lazy("new"), "active"),
    "changed": (gettext_lazy("known, facts change"), "paused"),
    "same": (gettext_lazy("known, nothing changes"), "none"),
}
NAMES = {
    "serial": gettext_lazy("Serial number"),
    "hostname": gettext_lazy("Host name"),
    "rack": gettext_lazy("Rack"),
    "leaf": gettext_lazy("Leaf switch"),
    "card_uuids": gettext_lazy("Card UUIDs, separated by semicolons"),
    "driver_version": gettext_lazy("Driver"),
    "runtime_version": gettext_lazy("CUDA or CANN"),
    "framework_version": gettext_lazy("Framework"),
    "firmware_version": gettext_lazy("Firmware"),
}


class FileForm(ConsoleForm):
    """A CSV of nodes."""

    file = forms.FileField(
        label=gettext_lazy("CSV file"),
        allow_empty_file=True,
        help_text=gettext_lazy("CSV in UTF-8 or GBK with a column of serial numbers, not .xlsx"),
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )


class ApplyForm(ConsoleForm):
    """The previewed file, packed."""

    content = forms.CharField(widget=forms.HiddenInput, max_length=PACKED_LIMIT)


def pack(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 9)).decode()


def unpack(text: str) -> bytes | None:
    """The bytes, or None where the text is not ours or would be too large."""
    try:
        packed = base64.b64decode(text, validate=True)
        reader = zlib.decompressobj()
        content = reader.decompress(packed, node_import.BYTE_LIMIT + 1)
    except (binascii.Error, zlib.error, ValueError):
        return None
    return content if reader.eof and len(content) <= node_import.BYTE_LIMIT else None


@page(scope="inventory:write", party="provider")
def preview(request: ConsoleRequest, pool_id: str) -> HttpResponse:
    """What the file would do, row by row. Changes nothing."""
    pool = find(own(request), pool_id)
    posted = request.method == "POST"
    form = FileForm(request.POST if posted else None, request.FILES if posted else None)
    context: dict[str, Any] = {"pool": pool, "columns": columns()}
    if posted and form.is_valid():
        upload = form.cleaned_data["file"]
        try:
            if upload.size > node_import.BYTE_LIMIT:
                raise node_import.Unreadable(
                    reason="too_large", limit_mib=node_import.BYTE_LIMIT // 2**20
                )
            content = upload.read()
            context |= describe(node_import.preview(pool=pool, content=content))
            packed = pack(content)
            if len(packed) > PACKED_LIMIT:
                form.add_error("file", _("The file is too large for one import; split it."))
            else:
                context["packed"] = packed
        except DomainError as error:
            form.add_error("file", refusals.explain(error))
    return render(request, "console/node_import.html", context, form=form)


@page(scope="inventory:write", party="provider", changes=True)
def apply(request: ConsoleRequest, pool_id: str) -> HttpResponse:
    """The pool has the file's nodes, all or none."""
    visit = request.visit
    pool = find(own(request), pool_id)
    if request.method != "POST":
        return redirect("node_import", pool.public_id)
    form = ApplyForm(request.POST)
    content = unpack(form.cleaned_data["content"]) if form.is_valid() else None
    if content is None:
        messages.error(request, _("The file did not arrive whole; choose it again."))
        return redirect("node_import", pool.public_id)
    done = attempt(
        form,
        lambda: node_import.apply(pool=pool, content=content, at=visit.at, actor=visit.actor),
    )
    if done is None:
        return render(request, "console/node_import.html", {**_again(pool, content)}, form=form)
    counts = {
        "new": f"{done.new_count:,}",
        "changed": f"{done.changed_count:,}",
        "known": f"{done.known_count:,}",
        "cards": f"{done.cards_after:,}",
    }
    if done.new_count or done.changed_count:
        messages.success(
            request,
            _("%(new)s nodes added, %(changed)s changed; the pool has %(cards)s cards now.")
            % counts,
        )
    else:
        messages.info(
            request,
            _("Nothing to import: all %(known)s nodes of the file are in the pool as they stand.")
            % counts,
        )
    return redirect("pool", pool.public_id)


def _again(pool: Pool, content: bytes) -> dict[str, Any]:
    """The page again, with what is wrong now: the world may have changed since the preview."""
    context: dict[str, Any] = {"pool": pool, "columns": columns()}
    with suppress(DomainError):  # the form carries the reason
        context |= describe(node_import.preview(pool=pool, content=content))
    return context


def columns() -> list[tuple[object, bool, list[str]]]:
    """What a column holds, whether it must be there, and what it may be called."""
    return [
        (NAMES[column], column == "serial", list(aliases))
        for column, aliases in node_import.COLUMNS.items()
    ]


def describe(plan: node_import.Preview) -> dict[str, Any]:
    """A preview as the page shows it."""
    return {
        "plan": plan,
        "rows": [
            (row, plan.lines[row.serial], *VERDICTS[plan.verdicts[row.serial]])
            for row in plan.rows[:SHOWN]
        ],
        "hidden_rows": max(0, len(plan.rows) - SHOWN),
        "errors": [
            (
                error,
                NAMES.get(error.column, error.column),
                PROBLEMS.get(error.code, PROBLEMS["row_invalid"]),
            )
            for error in plan.errors[:SHOWN]
        ],
        "bad_row_count": len({error.line for error in plan.errors}),
        "hidden_errors": max(0, len(plan.errors) - SHOWN),
    }


@page(scope="inventory:read", party="provider")
def template(request: ConsoleRequest) -> HttpResponse:
    """An empty node list with the header and one example row."""
    return HttpResponse(
        node_import.template(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="nodes.csv"'},
    )
