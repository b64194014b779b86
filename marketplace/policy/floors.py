"""What may not be undercut: a provider's own costs."""

from __future__ import annotations

from inventory.errors import Invalid
from inventory.models import Pool
from marketplace import money
from marketplace.models import PriceFloor
from marketplace.money import Price
from marketplace.money_text import format_price


class BelowFloor(Invalid):
    """The price would leave the provider less than its own costs."""

    code = "below_floor"
    title = "The price is below the provider's own floor"


class FloorCurrency(Invalid):
    """The pool's costs are known in another currency than the price's."""

    code = "floor_currency"
    title = "The price cannot be compared with the floor"


def floor_of(pool_id: int) -> PriceFloor | None:
    """The newest floor of a pool; a pool without one has told nobody its costs."""
    return PriceFloor.objects.filter(pool_id=pool_id).order_by("-version").first()


def check_floor(price: Price, pool: Pool) -> None:
    """Compares what the provider keeps of a card-hour with what it costs the provider.

    VAT and the operator's fee are no income of the provider, so they are taken off first; a
    monthly price is measured by the longest month. Raises BelowFloor with the components.
    """
    floor = floor_of(pool.pk)
    if floor is None:
        return
    if floor.currency != price.currency:
        raise FloorCurrency(
            f"The pool's costs are known in {floor.currency}; a price in {price.currency}"
            " cannot be compared with them"
        )
    keeps = money.keeps_micro(price=price, cards_per_node=pool.cards_per_node)
    if keeps < floor.card_hour_micro:
        raise BelowFloor(
            f"A card-hour would leave {format_price(int(keeps))} {price.currency} after VAT and"
            f" fee; it costs {format_price(floor.card_hour_micro)}",
            currency=floor.currency,
            floor_micro=floor.card_hour_micro,
            keeps_micro=int(keeps),
            power_micro=floor.power_micro,
            depreciation_micro=floor.depreciation_micro,
            network_micro=floor.network_micro,
            operations_micro=floor.operations_micro,
        )
