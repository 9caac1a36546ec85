"""What the core and its plugins run on: fences, greenlets, the clock and group commit. Needs gevent."""

from mdacore.runtime.clock import SystemClock
from mdacore.runtime.fence import Deadline, Fence
from mdacore.runtime.group_commit import GroupCommit

__all__ = ["Deadline", "Fence", "GroupCommit", "SystemClock"]
