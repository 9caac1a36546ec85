"""The breakers of one service: one for each function of an instance that messages pass through.

Each function has its own, so that a stage that works does not hide one that fails; queues and edges share it, so that
what one of them has learnt about a component all of them know.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from mdacore.assembly.roles import PolicyKeys, RelayKeys
from mdacore.contracts import Clock
from mdacore.runtime import Breaker


@attrs.define
class Breakers:
    """Makes each breaker once, and remembers it."""

    _clock: Clock
    _made: dict[str, dict[str, Breaker]] = attrs.field(factory=dict, init=False)

    def of(self, label: str, call: str, keys: PolicyKeys | RelayKeys) -> Breaker | None:
        """The breaker of one function, as its instance is configured: ``of("relays.local", "attempt", keys)``."""
        if not keys.faults_max:
            return None
        of_instance = self._made.setdefault(label, {})
        if call not in of_instance:
            of_instance[call] = Breaker(
                clock=self._clock, call=call, faults_max=keys.faults_max, pause_max_s=keys.pause_max_s
            )
        return of_instance[call]

    def made(self) -> Mapping[str, Mapping[str, Breaker]]:
        """All of them, by the instance's label and the function's name."""
        return self._made
