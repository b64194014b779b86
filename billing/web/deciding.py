"""A form of verdicts: what may be done with a row now, and what each of them needs to be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django import forms
from django.contrib import messages
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketplace.web.entry import ConsoleRequest, attempt
from marketplace.web.forms import ConsoleForm

Style = Literal["primary", "danger", ""]
FIELDS: dict[str, tuple[Any, int]] = {
    "reason": (gettext_lazy("Reason"), 200),
    "reference": (gettext_lazy("Bank reference"), 80),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One button: what it does with what was written, and what is said once it is done."""

    code: str
    label: str
    said: str
    act: Callable[[Mapping[str, Any]], object]
    needs: str = ""  # the field that must be filled in for it
    style: Style = ""


class DecidingForm(ConsoleForm):
    """The verdicts that are open now; only what one of them needs is asked for."""

    verdict = forms.CharField(max_length=20, widget=forms.HiddenInput)

    def __init__(self, *args: Any, verdicts: Sequence[Verdict], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.verdicts = {verdict.code: verdict for verdict in verdicts}
        for name, (label, longest) in FIELDS.items():
            buttons = [verdict.label for verdict in verdicts if verdict.needs == name]
            if buttons:
                self.fields[name] = forms.CharField(
                    label=label,
                    max_length=longest,
                    required=False,
                    help_text=_("Needed for: %(buttons)s")
                    % {"buttons": _(", ").join(f"“{button}”" for button in buttons)}
                    if len(verdicts) > 1
                    else "",
                )
                self.fields[name].widget.attrs["class"] = "form-control"

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        chosen = self.verdicts.get(data.get("verdict", ""))
        if chosen is None:
            self.add_error(None, _("This was decided meanwhile; look at it again."))
        elif chosen.needs and not data.get(chosen.needs) and chosen.needs not in self.errors:
            self.add_error(chosen.needs, _("Needed here."))
        return data


def decide(request: ConsoleRequest, form: DecidingForm) -> bool:
    """Whether the verdict that was posted is done; else the form says why not."""
    if not form.is_valid():
        return False
    chosen = form.verdicts[form.cleaned_data["verdict"]]
    done = attempt(form, lambda: (chosen.act(form.cleaned_data),))
    if done is not None:
        messages.success(request, chosen.said)
    return done is not None
