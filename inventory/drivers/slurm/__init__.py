"""Nodes of a cluster that Slurm schedules."""

from inventory.drivers.slurm.driver import SlurmDriver

__all__ = ["SlurmDriver"]
