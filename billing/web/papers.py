"""Papers as a reader of the console has them: in the language of the page, as a file."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpResponse
from django.utils.translation import get_language

from billing.paper import Language


def reply(pdf: Callable[[Language], bytes], name: str) -> HttpResponse:
    """The PDF in the reader's language, to be kept under that name."""
    language: Language = "en" if (get_language() or "").startswith("en") else "zh"
    return HttpResponse(
        pdf(language),
        content_type="application/pdf",
        headers={"Content-Disposition": f'attachment; filename="{name}.pdf"'},
    )
