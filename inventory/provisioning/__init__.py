"""The reconcile loop: what is sold is delivered, and what is over is taken down and wiped.

Each sweep claims due rows, makes one step for each and writes the result guarded by the
claim's token. Drivers are asked outside any transaction. Nothing here is remembered in a
process: whoever comes next finds in the rows how far things are.
"""

from inventory.provisioning.allocations import step_allocation, sweep_allocations
from inventory.provisioning.instances import step_instance, sweep_instances
from inventory.provisioning.remedies import (
    NothingToRemedy,
    fail_node,
    mark_clean,
    replace,
    retry_release,
)
from inventory.provisioning.verification import Difference, pools, verify_pool

__all__ = [
    "Difference",
    "NothingToRemedy",
    "fail_node",
    "mark_clean",
    "pools",
    "replace",
    "retry_release",
    "step_allocation",
    "step_instance",
    "sweep_allocations",
    "sweep_instances",
    "verify_pool",
]
