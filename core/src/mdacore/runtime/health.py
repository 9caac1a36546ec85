"""How each instance is: what it says itself, and what its breakers have seen. Data, and the call that collects it."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from mdacore.contracts import Component, EventLog, Health, Status
from mdacore.runtime.breaker import Breaker, Circuit, CircuitState
from mdacore.runtime.fence import BrokenContract, Fence
from mdacore.words import MdaError, printable

HEALTH_DEADLINE_S = 1.0
"""`Component.health` answers from memory; one that waits all the same is cut."""

_ILLNESS = (Status.OK, Status.DEGRADED, Status.FAILED)


@attrs.frozen(kw_only=True)
class InstanceHealth:
    """One instance at one moment.

    Attributes:
        instance: ``"relays.local"``.
        own: what the component says; FAILED with the reason if it could not even say that.
        circuits: of the calls that messages pass through, by name: ``"attempt"``, ``"queue_policy"``, ``"rcpt"``.
    """

    instance: str
    own: Health
    circuits: Mapping[str, Circuit] = attrs.field(factory=dict)

    @property
    def status(self) -> Status:
        """The component's own, and at least DEGRADED while one of its calls fails or is switched off."""
        is_well = all(circuit.state is CircuitState.OK for circuit in self.circuits.values())
        return self.own.status if is_well else max(self.own.status, Status.DEGRADED, key=_ILLNESS.index)


def health_of(instance: str, component: Component, *, breakers: Mapping[str, Breaker], log: EventLog) -> InstanceHealth:
    """Ask a component, behind a fence, and its breakers. Raises nothing of the component's."""
    try:
        own = Fence(instance, log, HEALTH_DEADLINE_S).call(_own, component)
    except MdaError as error:  # logged by the fence
        own = Health(status=Status.FAILED, reason=printable(str(error)))
    return InstanceHealth(
        instance=instance, own=own, circuits={call: breaker.circuit() for call, breaker in breakers.items()}
    )


def _own(component: Component) -> Health:
    health: object = component.health()
    if not isinstance(health, Health):
        raise BrokenContract(f"health() gave a {type(health).__name__}")
    return health
