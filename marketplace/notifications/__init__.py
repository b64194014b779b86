"""Who hears what: channels of organisations, messages made from the journal, and their sending.

The journal is the outbox: an event's entry is written in its own transaction. A sweep makes one
delivery for each channel that wants it, once; another sends what is due, outside any transaction.
"""

from marketplace.notifications.channels import (
    ChannelRefused,
    add,
    choose,
    remove,
    retry,
    rewrap_secrets,
    send_test,
)
from marketplace.notifications.outbox import fan_out
from marketplace.notifications.sending import send_due
from marketplace.notifications.topics import TOPICS

__all__ = [
    "TOPICS",
    "ChannelRefused",
    "add",
    "choose",
    "fan_out",
    "remove",
    "retry",
    "rewrap_secrets",
    "send_due",
    "send_test",
]
