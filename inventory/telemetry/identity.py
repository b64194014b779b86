"""Whose a series is: which card of which node of the feed's own centre.

A person's binding comes first, then what the register of nodes says: a card's UUID, a node's
serial, a hostname that one node of the centre alone has. What fits two is nobody's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inventory.models import Node, SeriesBinding, SeriesIdentity
from inventory.telemetry.metrics import METRICS, Fact, Metric

SERIAL_LABELS = ("node_serial", "serial")
HOST_LABELS = ("hostname", "exported_hostname", "Hostname", "node", "node_name", "instance")
VALUE_LENGTH = 200
_AMBIGUOUS = (-1, None)

Identity = tuple[str, str]  # a SeriesIdentity and the value
Place = tuple[int, int | None]  # node, and its card where the identity names one
# Node, card, cards of the node, and what turns a value into the unit that is kept.
Card = tuple[int, int, int, float]


@dataclass(frozen=True, slots=True)
class Machine:
    """What a sample has to know about a node."""

    card_count: int
    memory_mib: float  # of each card, as the catalogue of chips says


@dataclass(slots=True)
class Directory:
    """The nodes that a feed reaches, by what their series may be called."""

    machines: dict[int, Machine] = field(default_factory=dict)
    bound: dict[Identity, Place] = field(default_factory=dict)
    registered: dict[Identity, Place] = field(default_factory=dict)

    def find(self, identities: tuple[Identity, ...], index: int | None) -> tuple[int, int] | None:
        """The node and card, or None."""
        for table in (self.bound, self.registered):
            for identity in identities:
                place = table.get(identity)
                if place is None:
                    continue
                node_id, card = place
                if card is None:
                    card = index
                machine = self.machines.get(node_id)
                if machine is not None and card is not None and card < machine.card_count:
                    return node_id, card
        return None

    def _register(self, identity: Identity, place: Place) -> None:
        if identity[1]:
            same = self.registered.get(identity, place) == place
            self.registered[identity] = place if same else _AMBIGUOUS


@dataclass(slots=True, eq=False)
class Series:
    """One wanted series of a feed, and the card it is of, None while nobody knows."""

    metric: Metric
    replica: str
    identities: tuple[Identity, ...]
    index: int | None
    card: str  # as the series says it
    labels: dict[str, str]
    # Read once per sample and replaced whole: other threads are reading.
    card_of: Card | None = None

    def settle(self, directory: Directory) -> None:
        """Looks the card up anew."""
        place = directory.find(self.identities, self.index)
        if place is None:
            self.card_of = None
            return
        machine = directory.machines[place[0]]
        factor = self.metric.scale
        if self.metric.fact is Fact.BUSY:
            factor *= 1000
        elif self.metric.fact is Fact.MEMORY:
            factor *= 1000 / machine.memory_mib
        self.card_of = (*place, machine.card_count, factor)


def directory(*, source_id: int, centre_id: int) -> Directory:
    """The nodes of the centre and the feed's bindings. Two statements.

    A binding to a node that has left the centre finds no machine, and so nothing.
    """
    found = Directory()
    nodes = (
        Node.objects.filter(pool__fabric__centre_id=centre_id)
        .exclude(state=Node.State.RETIRED)
        .values_list(
            "pk",
            "serial",
            "hostname",
            "card_uuids",
            "pool__cards_per_node",
            "pool__chip__memory_gib",
        )
    )
    for node_id, serial, hostname, uuids, cards, memory_gib in nodes:
        found.machines[node_id] = Machine(cards, memory_gib * 1024.0)
        found._register((SeriesIdentity.SERIAL.value, serial), (node_id, None))
        found._register((SeriesIdentity.HOSTNAME.value, hostname), (node_id, None))
        for index, uuid in enumerate(uuids):
            found._register((SeriesIdentity.CARD_UUID.value, uuid), (node_id, index))
    bindings = SeriesBinding.objects.filter(source_id=source_id, removed_at=None)
    for identity, value, node_id, card in bindings.values_list(
        "identity", "value", "node_id", "card_index"
    ):
        found.bound[identity, value] = (node_id, card)
    return found


def read(labels: Mapping[str, str], *, replica_label: str) -> Series | None:
    """What the labels of a series say, or None where no fact is read from it."""
    metric = METRICS.get(labels.get("__name__", ""))
    if metric is None or not metric.applies(labels):
        return None
    exporter = metric.exporter
    named: list[Identity] = []
    for name in exporter.card_labels:
        if value := labels.get(name):
            named.append((SeriesIdentity.CARD_UUID.value, clean(value)))
    for name in SERIAL_LABELS:
        if value := labels.get(name):
            named.append((SeriesIdentity.SERIAL.value, clean(value)))
    for name in HOST_LABELS:
        if value := labels.get(name):
            host = value.rpartition(":")[0] or value if name == "instance" else value
            named.append((SeriesIdentity.HOSTNAME.value, clean(host)))
    card = next((labels[name] for name in exporter.index_labels if labels.get(name)), "")
    return Series(
        metric=metric,
        replica=clean(labels.get(replica_label) or labels.get("__replica__") or ""),
        identities=tuple(dict.fromkeys(named)),
        index=int(card) if card.isascii() and card.isdigit() and len(card) < 4 else None,
        card=clean(card)[:80],
        labels={clean(name)[:80]: clean(value) for name, value in labels.items()},
    )


def shown_as(series: Series) -> Identity:
    """What to bind an unknown series by: its host where it says which card, else the card."""
    by = dict(reversed(series.identities))
    if series.index is not None and SeriesIdentity.HOSTNAME.value in by:
        return SeriesIdentity.HOSTNAME.value, by[SeriesIdentity.HOSTNAME.value]
    return series.identities[0] if series.identities else (SeriesIdentity.HOSTNAME.value, "")


def clean(text: str) -> str:
    """As the database can keep it."""
    return text[:VALUE_LENGTH].replace("\x00", "\ufffd")
