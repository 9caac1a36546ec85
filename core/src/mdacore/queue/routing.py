"""Which relay, and so which lane, each recipient's mail goes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mdacore.queue.wiring import BoundRelay, Route
from mdacore.runtime import Fence
from mdacore.words import Envelope, MdaError, Recipient, domain_of


class RouteTable:
    """The routes of one queue: asked in order, the first that fits a recipient's domain wins."""

    def __init__(self, routes: Sequence[Route], relays: Mapping[str, BoundRelay], fences: Mapping[str, Fence]) -> None:
        if not routes or routes[-1].domains is not None:
            raise ValueError("the last route fits every domain")
        self._routes = routes
        self._relays = relays
        self._fences = fences

    def split(self, envelope: Envelope) -> Iterator[tuple[str, Envelope]]:
        """The envelope, or its parts where recipients go to different relays, each with its lane."""
        by_relay = self._by_relay(envelope.recipients)
        for relay, recipients in by_relay.items():
            part = envelope if len(by_relay) == 1 else envelope.with_recipients(recipients)
            destination = self._fences[relay].call(self._relays[relay].relay.destination, part)
            yield f"{relay}/{destination}", part

    def lane(self, envelope: Envelope) -> str:
        """The lane of a message with one recipient."""
        try:
            ((lane, _),) = self.split(envelope)
        except MdaError:  # logged by the fence; a notice must be stored all the same
            return f"{self._relay_for(domain_of(envelope.recipients[0].address))}/"
        return lane

    def _by_relay(self, recipients: Sequence[Recipient]) -> dict[str, list[Recipient]]:
        if len(self._routes) == 1:
            return {self._routes[0].relay: list(recipients)}
        groups: dict[str, list[Recipient]] = {}
        for recipient in recipients:
            groups.setdefault(self._relay_for(domain_of(recipient.address)), []).append(recipient)
        return groups

    def _relay_for(self, domain: str) -> str:
        return next(route.relay for route in self._routes if route.domains is None or domain in route.domains)


def relay_of(lane: str) -> str:
    """The relay instance of a lane."""
    return lane.partition("/")[0]
