"""The kit for plugin authors: fakes that keep the contracts, and time that the test moves."""

from mdacore.testing.clock import ManualClock
from mdacore.testing.memory import MemoryStorage
from mdacore.testing.relay import ScriptedRelay

__all__ = ["ManualClock", "MemoryStorage", "ScriptedRelay"]
