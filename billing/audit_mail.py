"""The journal's head leaves the house every day, and the new monthly reports with it."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import gettext as _

from billing import audit_reports
from billing.models import AuditReport
from inventory import actors, journal, seals
from inventory.models import JournalEntry, Seal
from marketplace.utilisation import readings

ACTOR = actors.system("audit_mail")
SENT = "journal.head_sent"


def send(*, at: datetime) -> bool:
    """Whoever AUDIT_MAIL names has today's heads, and the reports made since the last mail.

    Once a day of the billing zone. Sends over the network, so it is called outside any
    transaction; cut off between the mail and its entry, the next run mails again. False where
    nobody is named or today's mail is out. Raises OSError, SMTPException.
    """
    day = at.astimezone(ZoneInfo(settings.BILLING_ZONE)).date()
    mailed = f"heads {day.isoformat()}"
    if not settings.AUDIT_MAIL or JournalEntry.objects.filter(object_id=mailed).exists():
        return False
    last = JournalEntry.objects.filter(event=SENT).order_by("-id").values_list("at", flat=True)
    reports = AuditReport.objects.order_by("month", "version")
    if last:
        reports = reports.filter(created_at__gt=last[0])
    heads = {source: seals.head(source) for source in Seal.Source.values}
    mail = _written(day.isoformat(), heads, list(reports))
    mail.send()
    with transaction.atomic():
        journal.record(
            event=SENT,
            object_id=mailed,
            actor=ACTOR,
            at=at,
            data={"heads": heads, "reports": [row.public_id for row in reports]},
        )
    return True


def _written(day: str, heads: dict[str, str], reports: list[AuditReport]) -> EmailMessage:
    with translation.override(settings.LANGUAGE_CODE):
        words = {
            "day": day,
            "heads": heads.items(),
            "mark": readings.mark(),
            "reports": reports,
        }
        mail = EmailMessage(
            subject=_("Heads of the journal, %(day)s") % {"day": day},
            body=render_to_string("console/mail/heads.txt", words),
            to=settings.AUDIT_MAIL,
        )
    for row in reports:
        name = f"cardhour-{row.month:%Y-%m}-v{row.version}.pdf"
        mail.attach(name, audit_reports.pdf(row, language="zh"), "application/pdf")
    return mail
