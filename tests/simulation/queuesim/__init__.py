"""A deterministic simulation of the queue: one seed, one run, the same every time.

The queue, its fences, policies' fences, breakers and lanes are the real ones. Simulated are time (`virtual_time`), the
storage's disk and its faults (`disk`, `storage`), relays and policies (`relay`, `policies`), and the death of the
process (`world`). What must hold is in `ledger`.
"""

from queuesim.plan import Plan
from queuesim.world import Report, simulate, simulate_seed

__all__ = ["Plan", "Report", "simulate", "simulate_seed"]
