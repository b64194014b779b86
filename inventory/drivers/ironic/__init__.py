"""Bare metal by OpenStack Ironic, standalone or within OpenStack."""

from inventory.drivers.ironic.driver import IronicDriver

__all__ = ["IronicDriver"]
