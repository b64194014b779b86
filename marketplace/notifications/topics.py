"""What can be heard of: topics a channel chooses, and the journal's events in each."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

TOPICS: dict[str, object] = {
    "leases": _("Leases"),
    "incidents": _("Incidents"),
    "cases": _("Cases"),
    "credits": _("Service level credits"),
    "invoices": _("Invoices"),
    "dunning": _("Overdue payments"),
    "capacity": _("Broken and missing nodes"),
    "meters": _("Use and meters"),
    "tasks": _("Tasks of a centre's people"),
}

# Event of the journal: its topic, and what is said of it.
EVENTS: dict[str, tuple[str, object]] = {
    "lease.active": ("leases", _("A lease is handed over")),
    "acceptance.testing": ("leases", _("A delivery is to be tested")),
    "acceptance.run_failed": ("leases", _("A test of a delivery failed")),
    "acceptance.passed": ("leases", _("A delivery passed its test and is to be signed for")),
    "acceptance.accepted": ("leases", _("A delivery is accepted")),
    "acceptance.deemed": ("leases", _("A delivery is taken as accepted")),
    "lease.ending_soon": ("leases", _("A lease ends soon")),
    "lease.ending_shortly": ("leases", _("A lease ends shortly: save what runs")),
    "lease.ended": ("leases", _("A lease is over")),
    "lease.failed": ("leases", _("A lease could not be delivered")),
    "lease.cancelled": ("leases", _("A lease is cancelled")),
    "lease.end_ordered": ("leases", _("The end of a lease is ordered")),
    "incident.opened": ("incidents", _("An incident is opened")),
    "incident.lease_touched": ("incidents", _("An incident touches a lease")),
    "incident.replacement_late": ("incidents", _("A failed node is not replaced in time")),
    "incident.mitigated": ("incidents", _("An incident is mitigated")),
    "incident.resolved": ("incidents", _("An incident is resolved")),
    "incident.lease_mitigated": ("incidents", _("An incident is mitigated")),
    "incident.lease_resolved": ("incidents", _("An incident is resolved")),
    "case.opened": ("cases", _("A case is opened")),
    "case.replied": ("cases", _("A case has a new message")),
    "case.escalated": ("cases", _("A case is escalated to the operator")),
    "case.closed": ("cases", _("A case is closed")),
    "case.reopened": ("cases", _("A case is reopened")),
    "sla.credited": ("credits", _("A month below its service level is credited")),
    "invoice.finalised": ("invoices", _("An invoice is final")),
    "dunning.noticed": ("dunning", _("A payment is overdue")),
    "dunning.suspended": ("dunning", _("Access is shut: a payment is overdue")),
    "pool.overcommitted": ("capacity", _("A pool has too few nodes for what is promised")),
    "outage.open": ("capacity", _("A node is out of use")),
    "idlenotice.raised": ("meters", _("Leased cards hardly work")),
    "meterdispute.open": ("meters", _("Two meters disagree about an hour")),
    "meterdispute.for_tenant": ("meters", _("A dispute of meters is decided")),
    "meterdispute.for_provider": ("meters", _("A dispute of meters is decided")),
    "manualtask.opened": ("tasks", _("A machine waits for a person's hand")),
    "manualtask.overdue": ("tasks", _("A task is late")),
    "outage.overdue": ("capacity", _("A node is not back in time")),
}


def events_of(topics: list[str]) -> set[str]:
    return {event for event, (topic, _words) in EVENTS.items() if topic in topics}
