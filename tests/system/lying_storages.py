"""Storages that lie, each in its way, with the shipped contract suite on top: run by test_case_118.py, and failing.

Not collected with the other tests: its name does not begin like theirs.
"""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import ClassVar

import attrs

from mdacore import Claim, Content, MemoryBody, QueueId, StorageError
from mdacore.testing import DurableStorageContract, MemoryStorage, StorageContract
from mdacore.testing.memory import Memory


class SavesAtTheEnd(MemoryStorage):
    """Write returns before anything is durable: all of it is saved when it is stopped."""

    saved: ClassVar[dict[Path, Memory]] = {}

    def __init__(self, path, clock):
        super().__init__(clock)
        self._path = path
        self._is_running = False

    def start(self):
        if self._path in self.saved:
            self._memory = copy.deepcopy(self.saved[self._path])
            self.crash()
        self._is_running = True

    def stop(self):
        if self._is_running:
            self.saved[self._path] = copy.deepcopy(self._memory)
        self._is_running = False


class GivesAnothersData(MemoryStorage):
    """Read gives the message that was written last, whatever it is asked for."""

    def read(self, claim):
        message = super().read(claim)
        return attrs.evolve(message, envelope=list(self._rows.values())[-1].envelope)


class ClaimsTwice(MemoryStorage):
    """What it gives out it gives out again."""

    def claim(self, queue, limit, *, full_lanes=()):
        claims = super().claim(queue, limit, full_lanes=full_lanes)
        for claim in claims:
            self._rows[claim.queue_id].is_claimed = False
        return claims


class ClaimsAsTuples(MemoryStorage):
    """Gives the values of a claim, and not the claim."""

    def claim(self, queue, limit, *, full_lanes=()):
        return [attrs.astuple(claim) for claim in super().claim(queue, limit, full_lanes=full_lanes)]


class ClaimsWithoutEnd(MemoryStorage):
    """Its claims never end."""

    def claim(self, queue, limit, *, full_lanes=()):
        claim = Claim(queue_id=QueueId("endless0000"), queue=queue, lane="local/", attempt=1)
        return itertools.repeat(claim)


class CannotSettle(MemoryStorage):
    """Settle raises, always."""

    def settle(self, claim, settlement):
        raise StorageError("on purpose")


class GivesText(MemoryStorage):
    """Gives bodies as str where octets were stored."""

    def read(self, claim):
        message = super().read(claim)
        text = b"".join(message.envelope.content.body.chunks()).decode("latin-1")
        return attrs.evolve(message, envelope=message.envelope.with_content(Content(MemoryBody(text))))


class TestSavesAtTheEnd(DurableStorageContract):
    def make_storage(self, path, clock):
        return SavesAtTheEnd(path, clock)


class InMemory(StorageContract):
    storage_class = MemoryStorage

    def make_storage(self, path, clock):
        return self.storage_class(clock)


class TestHonest(InMemory):
    """To compare with: nothing of it fails."""


class TestGivesAnothersData(InMemory):
    storage_class = GivesAnothersData


class TestClaimsTwice(InMemory):
    storage_class = ClaimsTwice


class TestClaimsAsTuples(InMemory):
    storage_class = ClaimsAsTuples


class TestClaimsWithoutEnd(InMemory):
    storage_class = ClaimsWithoutEnd


class TestCannotSettle(InMemory):
    storage_class = CannotSettle


class TestGivesText(InMemory):
    storage_class = GivesText
