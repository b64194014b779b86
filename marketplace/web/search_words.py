"""The codes of a search in words."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from marketplace.models import Listing

REASONS = {
    "no_such_chip": _("another chip"),
    "too_little_memory": _("less memory on a card"),
    "too_little_bandwidth": _("a slower interconnect"),
    "bandwidth_unknown": _("nobody has published its interconnect's speed"),
    "no_such_region": _("another region"),
    "no_such_owner": _("another kind of owner"),
    "own_listing": _("your own listing"),
    "other_currency": _("another currency"),
    "whole_nodes_only": _("sells whole nodes only"),
    "not_a_multiple": _("the cards are no multiple of its unit"),
    "no_whole_nodes": _("sells slices of nodes"),
    "other_software": _("runs other software"),
    "software_unknown": _("not every node's software is known"),
    "too_few_units": _("fewer units than it sells at least"),
    "too_many_units": _("not as many units on sale"),
    "over_maximum_units": _("more units than it lets in one lease"),
    "off_unit_step": _("sells units in other steps"),
    "off_hour_step": _("sells hours in other steps"),
    "too_short": _("shorter than its shortest lease"),
    "too_long": _("longer than its longest lease"),
    "window_over": _("the window lies in the past"),
    "window_too_short": _("the window is shorter than the lease"),
    "off_the_grid": _("starts at other minutes than the window allows"),
    "not_on_sale_then": _("not on sale in this window"),
    "too_expensive": _("dearer than your limit"),
    "sold_out": _("sold out in this window"),
}
CHANGES = {
    "cards": _("another number of cards"),
    "units": _("fewer units"),
    "nodes": _("fewer nodes"),
    "hours": _("fewer hours"),
    "latest_end": _("a later end"),
    "start_grid_seconds": _("starts at other minutes"),
    "max_card_hour_micro": _("a higher price"),
    "regions": _("another region"),
    "hubs": _("another hub"),
    "owners": _("another kind of owner"),
    "driver": _("another driver"),
    "runtime": _("another CUDA or CANN"),
    "framework": _("another framework"),
    "minimum_memory_gib": _("less memory on a card"),
    "minimum_interconnect_gbps": _("a slower interconnect"),
    "chip_class": _("another kind of chip"),
    "chips": _("another chip"),
}
SOLD = {
    Listing.Selling.AGENCY: _("for the provider by the operator, who invoices and is paid"),
    Listing.Selling.RESALE: _("by the operator in its own name"),
    Listing.Selling.DIRECT: _("by the provider, who invoices and is paid"),
}
MARKS = {"cheapest": _("cheapest"), "earliest": _("earliest")}
SOFTWARE = {"unknown": _("unknown"), "mixed": _("differs between its nodes")}
