"""What the journal records, in the reader's words."""

from __future__ import annotations

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from inventory.models import JournalEntry
from marketplace.web import states

# By the prefix of the public id.
KINDS = {
    "org": _("Organisation"),
    "usr": _("Person"),
    "prj": _("Project"),
    "key": _("API key"),
    "tms": _("Telemetry feed"),
    "idl": _("Idle cards"),
    "ctr": _("Centre"),
    "fab": _("Fabric"),
    "pool": _("Pool"),
    "nod": _("Node"),
    "blk": _("Block"),
    "alc": _("Allocation"),
    "clm": _("Claim"),
    "out": _("Outage"),
    "ins": _("Machine"),
    "crd": _("Credential"),
    "lst": _("Listing"),
    "rsv": _("Reservation"),
    "bsk": _("Basket"),
    "lse": _("Lease"),
    "amd": _("Amendment"),
    "rcp": _("Bank receipt"),
    "bnk": _("Bank account"),
    "bst": _("Bank statement"),
    "bdl": _("Deal paid by bank"),
    "rfd": _("Refund"),
    "pfl": _("Payment file"),
    "drc": _("Payment to the centre"),
    "stl": _("Settlement"),
    "rpt": _("Monthly report"),
    "top": _("Top-up"),
    "tur": _("Wallet refund"),
    "dsp": _("Dispute"),
    "mdp": _("Metering dispute"),
    "pac": _("Payout account"),
    "trf": _("Transfer"),
    "trv": _("Transfer reversal"),
    "bwd": _("Bank withdrawal"),
    "wdr": _("Bank withdrawal"),
    "psp": _("Request to Stripe"),
    "gev": _("Event of Stripe"),
    "acp": _("Accounting period"),
    "quo": _("Quota"),
    "ist": _("Instalment"),
    "dun": _("Dunning"),
    "inv": _("Invoice"),
    "ivl": _("Line"),
    "stm": _("Statement"),
    "cst": _("Contest"),
    "fpo": _("Fapiao"),
    "pay": _("Payout"),
    "ptm": _("Payout terms"),
    "pye": _("Payee account"),
    "ifp": _("Input fapiao"),
    "pof": _("Payout file"),
    "rpm": _("Repayment"),
    "inc": _("Incident"),
    "case": _("Case"),
    "chn": _("Channel"),
    "ntf": _("Message"),
}

# Events that are more than a change of state.
EVENTS = {
    "accountingperiod.closed": _("books of the month closed"),
    "accountingperiod.closing": _("asked to close the books of the month"),
    "accountingperiod.open": _("close of the month put off"),
    "allocation.bound": _("nodes chosen"),
    "allocation.converted": _("goes on in another lease"),
    "allocation.extended": _("end moved later"),
    "allocation.held": _("units held"),
    "allocation.rebound": _("node replaced"),
    "allocation.shortened": _("end moved earlier"),
    "allocation.resumed": _("let in again"),
    "allocation.suspended": _("shut out"),
    "amendment.proposed": _("change proposed"),
    "amendment.signed": _("signed by both sides"),
    "api_key.issued": _("key made"),
    "api_key.revoked": _("key revoked"),
    "telemetry_source.opened": _("feed added"),
    "telemetry_source.closed": _("feed closed"),
    "telemetry_source.keys_revoked": _("keys of the feed revoked"),
    "telemetry_key.issued": _("key of the feed made"),
    "series.bound": _("series bound to a node"),
    "series.unbound": _("binding of series removed"),
    "idlenotice.raised": _("leased cards stand idle"),
    "idlenotice.kept": _("idle cards are kept"),
    "auditor.read": _("read by an auditor"),
    "journal.head_sent": _("head of the journal mailed out"),
    "report.made": _("monthly report made"),
    "report.restated": _("monthly report restated"),
    "bankaccount.proposed": _("bank account entered"),
    "bankreceipt.attributed": _("said whose money it is"),
    "directreceipt.confirmed": _("received by the centre"),
    "bankreceipt.recorded": _("transfer recorded"),
    "bankstatement.imported": _("bank statement imported"),
    "basket.held": _("held together"),
    "block.resized": _("units changed"),
    "books.differ": _("books do not agree"),
    "centre.created": _("centre added"),
    "case.attached": _("file attached"),
    "case.escalated": _("not answered in time: to the operator"),
    "case.late": _("not answered in time by the operator"),
    "case.opened": _("case opened"),
    "case.replied": _("message written"),
    "channel.added": _("channel added"),
    "channel.test": _("test message sent"),  # of a delivery
    "channel.tested": _("test message sent"),
    "channel.topics_chosen": _("topics chosen"),
    "delivery.failed": _("message given up"),
    "delivery.retried": _("message sent again"),
    "incident.explained": _("cause found"),
    "incident.lease_mitigated": _("mitigated, for a lease it touched"),
    "incident.lease_open": _("worse again, for a lease it touched"),
    "incident.lease_resolved": _("resolved, for a lease it touched"),
    "incident.lease_touched": _("lease touched"),
    "incident.noted": _("noted in the timeline"),
    "incident.replacement_late": _("not replaced in time"),
    "incident.opened": _("incident opened"),
    "contest.answered": _("the provider has answered"),
    "contest.opened": _("line contested"),
    "contest.upheld_by_first": _("credit asked for"),
    "credential.issued": _("way in prepared"),
    "credential.revealed": _("way in looked at"),
    "credential.revoked": _("way in closed"),
    "dunning.noticed": _("warned of what is overdue"),
    "fapiao.requested": _("fapiao asked for"),
    "invoice.discarded": _("draft thrown away"),
    "invoice.finalised": _("invoice made final"),
    "invoice.credit_requested": _("credit asked for"),
    "statement.issued": _("statement sent"),
    "organisation.billing_details_set": _("billing details changed"),
    "fabric.created": _("fabric added"),
    "instalment.write_off_asked": _("write-off asked for"),
    "instance.corrected": _("delivered time corrected"),
    "lease.closed": _("money settled to the end"),
    "lease.converted": _("becomes a lease on the same nodes"),
    "lease.end_ordered": _("end ordered"),
    "lease.price_set": _("price agreed from an hour on"),
    "lease.ending_soon": _("ends soon"),
    "listing.published": _("listing published"),
    "listing.repriced": _("price changed"),
    "listing.resized": _("units changed"),
    "listing.terms_changed": _("terms changed"),
    "membership.added": _("member added"),
    "membership.removed": _("member removed"),
    "organisation.approval_rule_set": _("approval rule set"),
    "organisation.registered": _("organisation registered"),
    "health.healthy": _("node healthy"),
    "health.jittering": _("node jittering"),
    "health.degraded": _("node degraded"),
    "health.down": _("node down"),
    "health.maintenance": _("node in maintenance"),
    "health.reported": _("node reported as not well"),
    "health.report_withdrawn": _("report withdrawn"),
    "meterdispute.open": _("metering dispute opened"),
    "meterdispute.for_tenant": _("metering dispute upheld for the tenant"),
    "meterdispute.for_provider": _("metering dispute upheld for the provider"),
    "outage.closed": _("outage over"),
    "outage.open": _("outage recorded"),
    "outage.overdue": _("node not back in time"),
    "outage.started": _("maintenance begun"),
    "outage.waiting": _("maintenance waits for nodes"),
    "paymentfile.made": _("payment file made"),
    "pool.created": _("pool added"),
    "refund.asked": _("refund asked for"),
    "pool.floor_set": _("floor price set"),
    "pool.history_loaded": _("invented deals loaded"),
    "pool.nodes_changed": _("nodes imported"),
    "pool.overcommitted": _("too few nodes for what is promised"),
    "project.created": _("project added"),
    "reconciliation.late": _("books and bank or Stripe have long disagreed"),
    "reconciliationmatch.made": _("matched by hand"),
    "reconciliationmatch.undone": _("match undone"),
    "voucher.proposed": _("voucher proposed"),
    "quota.removed": _("quota removed"),
    "quota.set": _("quota set"),
    "records.at_fault": _("records do not agree"),
    "reservation.approval_given": _("approved by a member"),
    "reservation.approved": _("approved by the provider"),
    "reservation.rejected": _("rejected by the provider"),
    "inputfapiao.handed_in": _("fapiao handed in"),
    "payout.planned": _("payout planned"),
    "payout_terms.set": _("payout terms set"),
    "payoutfile.made": _("payout file made"),
    "repayment.recorded": _("repayment recorded"),
    "sla.counted": _("month held against its service level"),
    "sla.credited": _("month below its service level credited"),
    "settlement.reserve_released": _("reserve released"),
    "settlement.carried": _("settlement carried over"),
    "topup.started": _("payment begun"),
    "walletrefund.asked": _("refund asked for"),
    "dispute.opened": _("dispute opened"),
    "payoutaccount.asked": _("payout account asked for"),
    "payoutaccount.bank_refused": _("payout refused by its bank"),
    "transferreversal.asked": _("reversal asked for"),
    "bankwithdrawal.asked": _("withdrawal asked for"),
    "psprequest.failed": _("request refused by Stripe"),
    "user.password_changed": _("password changed"),
    "wallet.credit_limit_set": _("credit limit set"),
    "wallet.runway_short": _("wallet runs short"),
}

# What sweeps and verbs give as a reason; people write their own.
REASONS = {
    "a node could not be wiped": _("a node could not be wiped"),
    "a node is overdue": _("a node is overdue"),
    "below the floor": _("below the floor"),
    "cancelled": _("cancelled"),
    "deadline exceeded": _("not ready in time"),
    "deadline_exceeded": _("not ready in time"),
    "given back before confirming": _("given back before confirming"),
    "handed over": _("handed over"),
    "never started": _("never started"),
    "no_node_available": _("too few nodes were free, healthy and clean"),
    "not confirmed in time": _("not confirmed in time"),
    "changed": _("the lease was changed"),
    "the lease is over": _("the lease is over"),
    "paid": _("paid"),
    "not paid when due": _("not paid when due"),
    "not decided in time": _("not decided in time"),
    "over": _("its time is over"),
    "papers seen": _("papers seen"),
    "period over": _("its time is over"),
    "provider not verified": _("the provider is not verified"),
    "provision failed": _("could not be set up"),
    "provision_failed": _("could not be set up"),
    "release failed": _("could not be wiped"),
    "released": _("given back"),
    "started": _("its time has come"),
    "the net is not positive": _("the net is not positive"),
    "the node is retired": _("the node is retired"),
    "too few nodes are empty": _("too few nodes are empty"),
    "unpaid": _("not paid for"),
}

# Sweeps, by the name under which they act.
SYSTEM = {
    "arrears": _("arrears"),
    "capacity.sweep": _("calendar of the pools"),
    "cases": _("cases"),
    "incidents": _("incidents"),
    "notifications": _("notifications"),
    "sla": _("service levels"),
    "closing": _("closing of leases"),
    "demo": _("demo world"),
    "dunning": _("dunning"),
    "instalments": _("instalments"),
    "runway": _("wallets that run short"),
    "holds": _("holds"),
    "health": _("node health"),
    "meters": _("second meter"),
    "leases": _("leases"),
    "listings": _("sweep of listings"),
    "provisioning": _("delivery"),
    "rating": _("charging"),
    "payouts": _("payouts"),
    "settlement": _("settlement"),
    "audit_mail": _("audit mail"),
    "audit_reports": _("monthly reports"),
    "verification": _("verification"),
}


def kind(public_id: str) -> str:
    return str(KINDS.get(public_id.partition("_")[0], ""))


def event(entry: JournalEntry) -> str:
    if words := EVENTS.get(entry.event):
        return str(words)
    return gettext("state changed") if entry.to_state else entry.event


def change(entry: JournalEntry) -> str:
    """From which state to which; empty where the state stayed, or the event says it all."""
    if not entry.to_state or entry.from_state == entry.to_state or entry.event in EVENTS:
        return ""
    before, after = (
        states.word(entry.object_id, state) for state in (entry.from_state, entry.to_state)
    )
    return f"{before} → {after}" if before else f"→ {after}"


def reason(text: str) -> str:
    """The system's own words translated, with what an engine added to them."""
    if text in REASONS:
        return str(REASONS[text])
    head, colon, tail = text.partition(": ")
    if colon and head in REASONS:
        return gettext("%(what)s: %(detail)s") % {"what": REASONS[head], "detail": reason(tail)}
    return text


def system(name: str) -> str:
    words = SYSTEM.get(name)
    return gettext("System (%(what)s)") % {"what": words} if words else gettext("System")
