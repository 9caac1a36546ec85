"""Outbox: what sessions have to say, sent together once in each turn of the event loop.

A reply that is sent by itself wakes its client by itself, and that costs more than the reply; sent together, the first
one wakes them all. Nobody waits longer for it: the loop does not poll for input before the outbox is empty.
Invariant: what was posted is sent, in its order for each sender, before the loop waits for anything.
"""

from __future__ import annotations

from typing import Protocol

import gevent


class Sender(Protocol):
    """Somebody with octets for a client."""

    def send_now(self, octets: bytes) -> None:
        """Send what the socket takes, and look after the rest. Called from the hub: never blocks, never raises."""


class Outbox:
    """One for all sessions of an edge."""

    def __init__(self) -> None:
        self._posted: list[tuple[Sender, bytes]] = []

    def post(self, sender: Sender, octets: bytes) -> None:
        """Send this before the loop waits. Never blocks."""
        if not self._posted:
            gevent.get_hub().loop.run_callback(self.empty)
        self._posted.append((sender, octets))

    def empty(self) -> None:
        """Send everything now. Never blocks."""
        posted, self._posted = self._posted, []
        for sender, octets in posted:
            sender.send_now(octets)
