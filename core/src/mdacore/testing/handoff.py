"""RecordingHandoff: a Handoff that remembers what an edge gave it and answers what the test says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gevent.event import Event

from mdacore.testing.messages import content_of
from mdacore.words import Content, Envelope, Reply

Answer = Reply | Sequence[Reply] | BaseException
"""For every recipient; for each of them in order; or what interrupts the caller (GreenletExit, a Timeout)."""

ACCEPTED = Reply(code=250, enhanced="2.0.0", text="Ok: queued as Q123456789")


class RecordingHandoff:
    """The queue as an edge sees it: answers each message with the next of its script, then for ever with the last.

    It reads each message when it gets it, as a storage does: an edge may remove its spool file afterwards.

    Attributes:
        script: the answers to come.
        spool_path: where the edge is to write large bodies; a folder of the test's, or None.
        is_proxy: whether it passes for a queue that stores nothing and gives each recipient a reply of its own.
        refuses: what `refusal` answers at MAIL.
        envelopes: what was handed off, in order.
        messages: the octets of each, header edits made.
        announced_bytes: the size of each question at MAIL.
        is_held: `accept` sets `arrived` and blocks until `go_on` is set, as slow policies do.
    """

    def __init__(self, *script: Answer, spool_path: Path | None = None) -> None:
        self.script: list[Answer] = list(script) or [ACCEPTED]
        self.spool_path = spool_path
        self.is_proxy = False
        self.refuses: Reply | None = None
        self.envelopes: list[Envelope] = []
        self.messages: list[bytes] = []
        self.announced_bytes: list[int] = []
        self.is_held = False
        self.arrived = Event()
        self.go_on = Event()

    @property
    def bodies(self) -> list[bytes]:
        """What clients sent, without the header fields that the edge put on top."""
        return [b"".join(Content(envelope.content.body).chunks()) for envelope in self.envelopes]

    def refusal(self, size_bytes: int) -> Reply | None:
        self.announced_bytes.append(size_bytes)
        return self.refuses

    def accept(self, envelope: Envelope) -> Sequence[Reply]:
        self.envelopes.append(envelope)
        self.messages.append(content_of(envelope))
        self.arrived.set()
        if self.is_held:
            self.go_on.wait()
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(answer, BaseException):
            raise answer
        return [answer] * len(envelope.recipients) if isinstance(answer, Reply) else answer
