"""Where the visitor's organisation hears what happened, and the log of what was sent."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketplace import notifications
from marketplace.models import Channel, Delivery
from marketplace.web.entry import ConsoleRequest, attempt, done, find, need, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.paging import paged


class TopicsForm(ConsoleForm):
    """What a channel hears of."""

    topics = forms.MultipleChoiceField(
        label=gettext_lazy("Hears of"),
        choices=list(notifications.TOPICS.items()),
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )


class ChannelForm(TopicsForm):
    """A way in which the organisation hears."""

    kind = forms.ChoiceField(label=gettext_lazy("Kind"), choices=Channel.Kind.choices)
    name = forms.CharField(label=gettext_lazy("Name"), max_length=60)
    address = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=400,
        help_text=gettext_lazy("An e-mail address, a telephone number, or the web hook of a robot"),
    )
    secret = forms.CharField(
        label=gettext_lazy("Secret of the robot"),
        max_length=128,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy("Of DingTalk and Feishu robots: they are signed"),
    )
    language = forms.ChoiceField(
        label=gettext_lazy("Language"),
        choices=[("zh-hans", "简体中文"), ("en", "English")],
    )
    field_order = ["kind", "name", "address", "secret", "language", "topics"]


@page(scope="journal:read", changes=True)
def index(request: ConsoleRequest) -> HttpResponse:
    """The channels; another is added here."""
    visit = request.visit
    may_write = visit.actor.may("members:write")
    form = ChannelForm(request.POST if request.method == "POST" else None) if may_write else None
    if request.method == "POST":
        need(request, "members:write")
        assert form is not None
        if form.is_valid():
            row = attempt(
                form,
                lambda: notifications.add(
                    organisation_id=visit.organisation.pk,
                    **form.cleaned_data,
                    at=visit.at,
                    actor=visit.actor,
                ),
            )
            if row is not None:
                messages.success(request, _("The channel is there. Send it a test message."))
                return redirect("channel", row.public_id)
    rows = Channel.objects.filter(organisation=visit.organisation, state=Channel.State.ACTIVE)
    context = {"channels": rows.order_by("pk")}
    return render(request, "console/channels.html", context, form=form)


@page(scope="journal:read", changes=True)
def detail(request: ConsoleRequest, channel_id: str) -> HttpResponse:
    """What it hears of, and the log of what was sent to it."""
    visit = request.visit
    row = find(Channel.objects.filter(organisation=visit.organisation), channel_id)
    posted = request.POST if request.method == "POST" else None
    form = TopicsForm(posted, initial={"topics": row.topics})
    if posted is not None:
        need(request, "members:write")
        if form.is_valid():
            chosen = attempt(
                form,
                lambda: notifications.choose(
                    channel_public_id=row.public_id,
                    topics=form.cleaned_data["topics"],
                    at=visit.at,
                    actor=visit.actor,
                ),
            )
            if chosen is not None:
                messages.success(request, _("It hears of these topics from now on."))
                return redirect("channel", row.public_id)
    context: dict[str, Any] = {
        "channel": row,
        "topics": [str(notifications.TOPICS[name]) for name in row.topics],
        "page": paged(Delivery.objects.filter(channel=row), request),
        "may_write": visit.actor.may("members:write") and row.state == Channel.State.ACTIVE,
    }
    return render(request, "console/channel.html", context, form=form)


@page(scope="members:write", changes=True, posts_only=True)
def test(request: ConsoleRequest, channel_id: str) -> HttpResponse:
    """Sends a message that says only that the channel works."""
    visit = request.visit
    row = find(Channel.objects.filter(organisation=visit.organisation), channel_id)
    _tell(
        request,
        lambda: notifications.send_test(
            channel_public_id=row.public_id, at=visit.at, actor=visit.actor
        ),
        _("The test message is on its way; the log says what comes of it."),
    )
    return redirect("channel", row.public_id)


@page(scope="members:write", changes=True, posts_only=True)
def remove(request: ConsoleRequest, channel_id: str) -> HttpResponse:
    """It hears nothing any more."""
    visit = request.visit
    row = find(Channel.objects.filter(organisation=visit.organisation), channel_id)
    _tell(
        request,
        lambda: notifications.remove(
            channel_public_id=row.public_id, at=visit.at, actor=visit.actor
        ),
        _("The channel hears nothing any more."),
    )
    return redirect("channels")


@page(scope="members:write", changes=True, posts_only=True)
def retry(request: ConsoleRequest, delivery_id: str) -> HttpResponse:
    """Sends one that was given up again."""
    visit = request.visit
    own = Delivery.objects.filter(channel__organisation=visit.organisation)
    row = find(own.select_related("channel"), delivery_id)
    _tell(
        request,
        lambda: notifications.retry(
            delivery_public_id=row.public_id, at=visit.at, actor=visit.actor
        ),
        _("It is sent again."),
    )
    return redirect("channel", row.channel.public_id)


def _tell(request: ConsoleRequest, act: Any, words: str) -> None:
    form = ConsoleForm(request.POST)
    if done(form, act):
        messages.success(request, words)
    for error in form.non_field_errors():
        messages.error(request, str(error))
