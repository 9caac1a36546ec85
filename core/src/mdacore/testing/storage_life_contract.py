"""The contract suite for a storage's life and its limits: `StorageContract` inherits it. Needs pytest.

Each test is one rule of `mdacore.contracts.component` or `mdacore.contracts.storage`. Time is the system's in here.

Not tested, because it cannot be seen from outside: that a step is atomic over a crash at any moment, that a shared body
is stored once, that `entries` and `amend` work in pages. Nor is what needs a disk that is full or damaged.
"""

from __future__ import annotations

import abc
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from mdacore.contracts import (
    Claim,
    Clock,
    Closing,
    Component,
    Context,
    NewMessage,
    Outcome,
    Query,
    QueueStorage,
    Settlement,
)
from mdacore.runtime import SystemClock
from mdacore.testing.component_contract import ComponentContract
from mdacore.testing.messages import MESSAGE, make_envelope
from mdacore.testing.probes import HUB_BLOCKED_S, INTERRUPT_AFTER_S, SOON_S, hub_turns, killed, watched
from mdacore.words import Content, FileBody, MdaError, Reply

DELIVERED = Closing(outcome=Outcome.DELIVERED, reply=Reply(code=250))


SOON_DUE_S, WAKES_WITHIN_S = 0.3, 5.0
"""When a message becomes due, and how long after that whoever waits may take to notice."""


class StorageLifeContract(ComponentContract):
    """What every storage keeps as a component. Inherit `StorageContract`, which brings this along."""

    instance = "storages.tested"

    @abc.abstractmethod
    def make_storage(self, path: Path, clock: Clock) -> QueueStorage:
        """A storage at this path (which may not exist), built and not started."""

    def make_component(self, context: Context) -> Component:
        return self.make_storage(context.state_path, context.clock)

    def use(self, component: Component) -> None:
        storage = cast(QueueStorage, component)
        for given in storage.write([_new(claim=True), _new()], queue="main"):
            if isinstance(given, Claim):
                storage.read(given)
                storage.settle(given, Settlement(closed={0: DELIVERED}))

    @pytest.fixture
    def store(self, component: Component) -> QueueStorage:
        """Up, with the system's clock, and stopped at the end."""
        return cast(QueueStorage, component)

    def test_a_write_that_fails_has_stored_nothing(self, store: QueueStorage, tmp_path: Path) -> None:
        """All of them or none: here the body of the second is missing. What it raises has a reply."""
        missing = make_envelope().with_content(Content(FileBody(tmp_path / "missing", 1000)))

        with pytest.raises(MdaError):
            store.write([_new(), NewMessage(envelope=missing, lane="local/", due_at=0.0)], queue="main")

        assert [] == list(store.entries(Query()))

    def test_a_write_that_is_interrupted_has_stored_all_or_nothing(self, store: QueueStorage) -> None:
        """When the calling greenlet is killed, the change happens whole or not at all."""
        finished = {}
        for number, after_s in enumerate(INTERRUPT_AFTER_S):
            three = [_new(sender=f"s{number}@example.org") for _ in range(3)]
            struck = killed(lambda three=three: store.write(three, queue="main"), after_s)  # type: ignore[misc]
            finished[f"s{number}@example.org"] = struck.result is not None
        store.write([_new()], queue="main")  # what was still on its way is through before this

        found = Counter(entry.sender for entry in store.entries(Query()))
        assert all(
            found[sender] == 3 if is_finished else found[sender] in (0, 3) for sender, is_finished in finished.items()
        )

    def test_the_file_of_a_body_still_belongs_to_the_caller(self, store: QueueStorage, tmp_path: Path) -> None:
        """Linked or copied: whoever wrote it removes it, and nobody has changed it."""
        spooled = (store.spool_path or tmp_path) / "spooled"
        spooled.write_bytes(MESSAGE * 9000)
        envelope = make_envelope().with_content(Content(FileBody(spooled, len(MESSAGE) * 9000)))

        store.write([NewMessage(envelope=envelope, lane="local/", due_at=0.0)], queue="main")

        assert MESSAGE * 9000 == spooled.read_bytes()
        spooled.unlink()

    def test_the_spool_folder_is_there_while_it_runs(self, store: QueueStorage) -> None:
        """Edges write large bodies there; None: there is no such place."""
        assert store.spool_path is None or store.spool_path.is_dir()

    def test_wait_returns_when_a_message_becomes_due(self, store: QueueStorage) -> None:
        """Nobody writes and nothing is settled then: time alone makes work. It may also return before."""
        due_at = SystemClock().now() + SOON_DUE_S
        store.write([_new(due_at=due_at)], queue="main")

        while SystemClock().now() < due_at + WAKES_WITHIN_S and not (given := store.claim("main", 1)):
            store.wait("main", 60.0)

        assert 1 == len(given)
        assert SystemClock().now() < due_at + WAKES_WITHIN_S

    def test_wait_returns_when_what_was_given_back_for_later_is_due(self, store: QueueStorage) -> None:
        """As for any message that is due later."""
        due_at = SystemClock().now() + SOON_DUE_S
        (claim,) = store.write([_new(claim=True)], queue="main")
        assert isinstance(claim, Claim)
        store.claim("main", 1)  # there is nothing, and a storage may remember that
        store.release(claim, due_at=due_at)

        while SystemClock().now() < due_at + WAKES_WITHIN_S and not (given := store.claim("main", 1)):
            store.wait("main", 60.0)

        assert 1 == len(given)
        assert SystemClock().now() < due_at + WAKES_WITHIN_S

    def test_a_refusal_is_told_from_memory(self, store: QueueStorage) -> None:
        """Asked at every MAIL: never blocks. A message that could be stored is not refused."""
        store.refusal(0)

        with watched() as watch:
            refusals = [store.refusal(0), store.refusal(len(MESSAGE))]

        assert [None, None] == refusals
        assert ([], 0) == (watch.asked + watch.waited, watch.switches)

    def test_wait_takes_no_longer_than_it_may(self, store: QueueStorage) -> None:
        """At most `timeout_s`; nothing is due here."""
        clock = SystemClock()
        began_at = clock.monotonic()

        store.wait("main", 0.05)

        assert clock.monotonic() - began_at < SOON_S

    def test_others_run_while_it_works(self, store: QueueStorage) -> None:
        """It blocks its caller, never the hub."""
        with hub_turns() as turns:
            self.use(store)
            store.claim("main", 10)

        assert turns.longest_s < HUB_BLOCKED_S

    def test_no_sync_is_waited_for_in_the_hubs_thread(self, store: QueueStorage) -> None:
        """The disk's sync belongs to a thread of its own."""
        with watched() as watch:
            self.use(store)

        assert [] == watch.waited


def _new(*, claim: bool = False, sender: str = "alice@example.org", due_at: float = 0.0) -> NewMessage:
    """A message that is due, unless it is given when."""
    return NewMessage(envelope=make_envelope(sender=sender), lane="local/", due_at=due_at, claim=claim)
