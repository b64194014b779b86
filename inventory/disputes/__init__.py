"""The second meter: telemetry's count of each delivered hour, held against the history's.

Both counts are kept. Where they differ by more than the tolerance a dispute opens by itself, the
lower is billed and the hour's charges are out of payout, until the operator has decided.
"""

from inventory.disputes.deciding import DisputeDecided, decide
from inventory.disputes.reading import sweep

__all__ = ["DisputeDecided", "decide", "sweep"]
