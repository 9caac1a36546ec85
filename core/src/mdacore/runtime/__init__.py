"""What the core and its plugins run on: fences, breakers, health, watchdog, workers, clock and group commit.

Needs gevent.
"""

from mdacore.runtime.breaker import Breaker, Circuit, CircuitState, SwitchedOff
from mdacore.runtime.clock import SystemClock
from mdacore.runtime.deadline import Deadline, Deadlines, TimedCall
from mdacore.runtime.fence import BrokenContract, Fence
from mdacore.runtime.group_commit import GroupCommit
from mdacore.runtime.health import InstanceHealth, health_of
from mdacore.runtime.threads import Threads
from mdacore.runtime.watchdog import Watchdog
from mdacore.runtime.workers import Workers

__all__ = [
    "Breaker",
    "BrokenContract",
    "Circuit",
    "CircuitState",
    "Deadline",
    "Deadlines",
    "Fence",
    "GroupCommit",
    "InstanceHealth",
    "SwitchedOff",
    "SystemClock",
    "Threads",
    "TimedCall",
    "Watchdog",
    "Workers",
    "health_of",
]
