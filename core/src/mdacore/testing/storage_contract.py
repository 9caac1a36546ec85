"""The contract suite for storages: a class of tests to inherit from. Needs pytest.

    class TestMyStorage(DurableStorageContract):
        def make_storage(self, path, clock):
            return MyStorage(MyConfig(path=path), context_with(clock))

Each test is one rule of `mdacore.contracts.storage`; its name and docstring say which. Those about a storage's life are
in `storage_life_contract`, which comes along; what a durable one keeps besides, and one that many nodes share, is in
`durable_storage_contract` and `leasing_storage_contract`.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import gevent
import pytest

from mdacore.contracts import (
    Change,
    Claim,
    Clock,
    Query,
    QueueStorage,
    Settlement,
    State,
)
from mdacore.testing.clock import ManualClock
from mdacore.testing.messages import content_of
from mdacore.testing.storage_life_contract import StorageLifeContract
from mdacore.testing.storage_samples import (
    BODY,
    BOUNCED,
    DELIVERED,
    LATER,
    QUEUE_ID,
    WAKES_WITHIN_S,
    OpenStorage,
    claims,
    id_of,
    listed,
    make_envelope,
    new,
)
from mdacore.words import (
    ClaimLost,
    Client,
    Content,
    Envelope,
    FileBody,
    MemoryBody,
    QueueId,
    Recipient,
    SessionId,
)


class StorageContract(StorageLifeContract):
    """What every storage keeps. Inherit, and give `make_storage`; a durable one inherits `DurableStorageContract`."""

    is_durable = False

    @abc.abstractmethod
    def make_storage(self, path: Path, clock: Clock) -> QueueStorage:
        """A storage at this path (which may not exist), built and not started."""

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def open_storage(self, tmp_path: Path, clock: ManualClock) -> Iterator[OpenStorage]:
        """Opens the storage; a second call first stops the one before, as a restart does."""
        opened: list[QueueStorage] = []

        def open_() -> QueueStorage:
            for storage in opened:
                storage.stop()
            opened.append(self.make_storage(tmp_path / "store", clock))
            opened[-1].start()
            return opened[-1]

        yield open_
        for storage in opened:
            storage.stop()

    @pytest.fixture
    def storage(self, open_storage: OpenStorage) -> QueueStorage:
        return open_storage()

    # write

    def test_write_gives_a_claim_where_one_was_asked_for_and_an_id_elsewhere(
        self, storage: QueueStorage, clock: ManualClock
    ) -> None:
        plain, claimed, held = storage.write(
            [new(clock), new(clock, claim=True), new(clock, claim=True, held="why")], queue="main"
        )

        assert isinstance(claimed, Claim)
        assert (1, "main", "local/") == (claimed.attempt, claimed.queue, claimed.lane)
        assert not isinstance(plain, Claim)
        assert not isinstance(held, Claim)

    def test_an_id_is_short_safe_text_and_never_given_twice(self, storage: QueueStorage, clock: ManualClock) -> None:
        ids = [id_of(given) for _ in range(50) for given in storage.write([new(clock), new(clock)], queue="main")]

        assert all(QUEUE_ID.fullmatch(queue_id) for queue_id in ids)
        assert len(ids) == len({queue_id.lower() for queue_id in ids})

    def test_an_id_is_not_used_again_after_its_message_is_gone(
        self, open_storage: OpenStorage, clock: ManualClock
    ) -> None:
        storage = open_storage()
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        storage.settle(claim, Settlement(closed={0: DELIVERED}))
        if self.is_durable:
            storage = open_storage()

        (again,) = storage.write([new(clock)], queue="main")

        assert claim.queue_id != id_of(again)

    def test_a_key_seen_before_stores_nothing_and_gives_the_same_ids(
        self, storage: QueueStorage, clock: ManualClock
    ) -> None:
        first = storage.write([new(clock, claim=True), new(clock)], queue="main", key="k1")
        again = storage.write([new(clock, claim=True), new(clock)], queue="main", key="k1")
        other = storage.write([new(clock)], queue="main", key="k2")

        assert [id_of(given) for given in first] == list(again)
        assert 3 == len(listed(storage))
        assert id_of(other[0]) not in again

    def test_many_writers_at_once_all_get_their_own(self, storage: QueueStorage, clock: ManualClock) -> None:
        writers = [gevent.spawn(storage.write, [new(clock)], queue="main") for _ in range(300)]
        gevent.joinall(writers, raise_error=True)

        assert 300 == len({id_of(writer.value[0]) for writer in writers if writer.value})
        assert 300 == len(listed(storage))

    # read

    def test_read_gives_the_envelope_as_it_was_written(self, storage: QueueStorage, clock: ManualClock) -> None:
        envelope = Envelope(
            sender="älice@example.org",
            recipients=(
                Recipient(number=0, address='"odd one"@example.test', notify=("SUCCESS", "DELAY"), orcpt="rfc822;x@y"),
                Recipient(number=1, address="b@example.test", original_address="a@example.test"),
            ),
            content=Content(MemoryBody(BODY)).remove(b"subject").prepend(b"X-Odd: \xff\r\n"),
            client=Client(
                ip="192.0.2.1", host="h", helo="e", protocol="ESMTP", identity="u", edge="mx", session_id=SessionId("s")
            ),
            received_at=clock.now() - 5.5,
            body_type="8BITMIME",
            is_smtputf8=True,
            dsn_return="HDRS",
            dsn_envelope_id="id 1",
        )

        (claim,) = claims(storage.write([new(clock, envelope=envelope, claim=True)], queue="main"))

        message = storage.read(claim)
        assert attrs.evolve(envelope, content=message.envelope.content) == message.envelope
        assert content_of(envelope) == content_of(message.envelope)
        assert envelope.received_at == message.accepted_at

    def test_every_kind_of_header_edit_survives(self, storage: QueueStorage, clock: ManualClock) -> None:
        """Whoever keeps less of an edit than there is to it takes out fields that nobody spoke of."""
        received = MemoryBody(b"A: 0\r\nB: 0\r\nA: 1\r\nB: 1\r\nA: 2\r\n\r\nbody\r\n")
        content = Content(received).remove(b"b").remove(b"a", at=(0, 2)).prepend(b"C: \xff\r\n\tfolded\r\n")

        (claim,) = claims(
            storage.write([new(clock, envelope=make_envelope(clock, content=content), claim=True)], queue="main")
        )

        assert b"C: \xff\r\n\tfolded\r\nA: 1\r\n\r\nbody\r\n" == content_of(storage.read(claim).envelope)

    def test_a_spooled_body_outlives_the_file_that_it_came_in(
        self, storage: QueueStorage, clock: ManualClock, tmp_path: Path
    ) -> None:
        spooled = tmp_path / "spooled"
        spooled.write_bytes(BODY * 20_000)
        envelope = make_envelope(clock, content=Content(FileBody(spooled, len(BODY) * 20_000)))

        (claim,) = claims(storage.write([new(clock, envelope=envelope, claim=True)], queue="main"))
        spooled.unlink()

        assert BODY * 20_000 == content_of(storage.read(claim).envelope)

    def test_parts_that_share_a_body_end_one_by_one(self, storage: QueueStorage, clock: ManualClock) -> None:
        content = Content(MemoryBody(BODY))
        parts = [new(clock, envelope=make_envelope(clock, content=content), claim=True) for _ in range(3)]
        first, second, third = claims(storage.write(parts, queue="main"))

        storage.settle(first, Settlement(closed={0: DELIVERED}))
        assert BODY == content_of(storage.read(second).envelope)
        storage.settle(second, Settlement(closed={0: DELIVERED}))
        assert BODY == content_of(storage.read(third).envelope)

    def test_read_gives_each_claim_its_own_message(self, storage: QueueStorage, clock: ManualClock) -> None:
        senders = [f"{name}@example.org" for name in "abc"]
        messages = [new(clock, envelope=make_envelope(clock, sender=sender), claim=True) for sender in senders]

        given = claims(storage.write(messages, queue="main"))

        for claim, sender in reversed(list(zip(given, senders, strict=True))):
            message = storage.read(claim)
            assert sender == message.envelope.sender
            assert message.queue_id in (None, claim.queue_id)

    # claim and release

    def test_a_claim_is_a_list_of_at_most_its_limit(self, storage: QueueStorage, clock: ManualClock) -> None:
        """Never an iterator: the queue would wait for its end."""
        storage.write([new(clock) for _ in range(3)], queue="main")

        claimed = storage.claim("main", 2)

        assert isinstance(claimed, list | tuple)
        assert [Claim, Claim] == [type(claim) for claim in claimed]

    def test_what_is_due_is_claimed_longest_due_first_and_the_rest_waits(
        self, storage: QueueStorage, clock: ManualClock
    ) -> None:
        due = [clock.now() - 10, clock.now() - 30, clock.now() + 60, clock.now() - 20]
        ids = [id_of(given) for given in storage.write([new(clock, due_at=at) for at in due], queue="main")]

        first = storage.claim("main", 2)
        second = storage.claim("main", 2)

        assert [ids[1], ids[3]] == [claim.queue_id for claim in first]
        assert [ids[0]] == [claim.queue_id for claim in second]
        for claim in (*first, *second):
            storage.settle(claim, Settlement(closed={0: DELIVERED}))
        clock.advance(60)
        assert [ids[2]] == [claim.queue_id for claim in storage.claim("main", 2)]

    def test_a_claim_leaves_out_other_queues_full_lanes_and_what_is_held(
        self, storage: QueueStorage, clock: ManualClock
    ) -> None:
        storage.write([new(clock)], queue="other")
        storage.write([new(clock, lane="far/full.test"), new(clock, held="why")], queue="main")
        (wanted,) = storage.write([new(clock, lane="far/free.test")], queue="main")

        assert [wanted] == [claim.queue_id for claim in storage.claim("main", 9, full_lanes={"far/full.test"})]

    def test_no_message_is_claimed_twice(self, storage: QueueStorage, clock: ManualClock) -> None:
        storage.write([new(clock) for _ in range(100)], queue="main")

        claimers = [gevent.spawn(storage.claim, "main", 7) for _ in range(20)]
        gevent.joinall(claimers, raise_error=True)

        claimed = [claim.queue_id for claimer in claimers for claim in claimer.value or ()]
        assert 100 == len(claimed) == len(set(claimed))

    def test_a_released_message_is_due_as_before_and_its_attempt_uncounted(
        self, storage: QueueStorage, clock: ManualClock
    ) -> None:
        storage.write([new(clock, due_at=clock.now() - 20), new(clock, due_at=clock.now() - 10)], queue="main")
        (claim,) = storage.claim("main", 1)

        storage.release(claim)

        (again,) = storage.claim("main", 1)
        assert (claim.queue_id, 1, 0) == (again.queue_id, again.attempt, again.unsettled)

    def test_a_message_that_is_given_back_for_later_is_due_then_and_its_attempt_uncounted(
        self, storage: QueueStorage, clock: ManualClock
    ) -> None:
        """Until then what waits behind it is claimed, and operators see when it is due."""
        behind = clock.now() - 10
        storage.write([new(clock, due_at=clock.now() - 20), new(clock, due_at=behind)], queue="main")
        (claim,) = storage.claim("main", 1)

        storage.release(claim, due_at=clock.now() + 30)

        entries = {entry.queue_id: (entry.state, entry.due_at, entry.attempts) for entry in listed(storage)}
        assert (State.DUE, clock.now() + 30, 0) == entries.pop(claim.queue_id)
        assert [*entries] == [one.queue_id for one in storage.claim("main", 9)]
        clock.advance(30)
        (again,) = storage.claim("main", 9)
        assert (claim.queue_id, 1, 0) == (again.queue_id, again.attempt, again.unsettled)

    def test_a_message_that_is_given_back_as_due_already_goes_behind_what_is_due_for_longer(
        self, storage: QueueStorage, clock: ManualClock
    ) -> None:
        """A `due_at` that has passed, or is now, counts like any other."""
        due = [clock.now() - 30, clock.now() - 20, clock.now()]
        first, second, third = storage.write([new(clock, due_at=at) for at in due], queue="main")
        (claim,) = storage.claim("main", 1)

        storage.release(claim, due_at=clock.now() - 10)

        assert [second, first, third] == [one.queue_id for one in storage.claim("main", 9)]

    def test_many_may_be_given_back_at_once(self, storage: QueueStorage, clock: ManualClock) -> None:
        """Some for later, some as before: each is due as its own caller has said."""
        given = claims(storage.write([new(clock, claim=True) for _ in range(100)], queue="main"))
        later = clock.now() + 30

        hands = [
            gevent.spawn(storage.release, claim, due_at=later if number % 2 else None)
            for number, claim in enumerate(given)
        ]
        gevent.joinall(hands, raise_error=True)

        assert {one.queue_id for one in given[::2]} == {one.queue_id for one in storage.claim("main", 100)}
        clock.advance(30)
        assert {one.queue_id for one in given[1::2]} == {one.queue_id for one in storage.claim("main", 100)}

    def test_wait_returns_when_there_is_something_to_claim(self, storage: QueueStorage, clock: ManualClock) -> None:
        waiter = gevent.spawn(storage.wait, "main", 60.0)
        gevent.idle()
        storage.write([new(clock)], queue="main")

        waiter.join(WAKES_WITHIN_S)

        assert waiter.ready()

    # settle

    def test_with_no_recipient_left_open_the_message_is_gone(self, storage: QueueStorage, clock: ManualClock) -> None:
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))

        assert [] == list(storage.settle(claim, Settlement(closed={0: DELIVERED})))

        assert [] == listed(storage)

    def test_open_recipients_stay_under_their_numbers_with_their_last_reply(
        self, open_storage: OpenStorage, clock: ManualClock
    ) -> None:
        """Case 75: a, b, c = delivered, deferred, failed; only b is left, still number 1."""
        storage = open_storage()
        envelope = make_envelope(clock, "a@example.test", "b@example.test", "c@example.test")
        (claim,) = claims(storage.write([new(clock, envelope=envelope, claim=True)], queue="main"))

        due_at = clock.now() + 60
        storage.settle(claim, Settlement(closed={0: DELIVERED, 2: BOUNCED}, deferred={1: LATER}, due_at=due_at))
        if self.is_durable:
            storage = open_storage()

        (entry,) = listed(storage)
        assert ([("b@example.test", LATER)], due_at, 1) == (list(entry.recipients), entry.due_at, entry.attempts)
        assert [] == list(storage.claim("main", 1))
        clock.advance(60)
        (again,) = storage.claim("main", 1)
        assert (2, 0) == (again.attempt, again.unsettled)
        assert [(1, "b@example.test")] == [(r.number, r.address) for r in storage.read(again).envelope.recipients]

    def test_notices_are_stored_in_the_same_step_in_the_same_queue(
        self, storage: QueueStorage, clock: ManualClock
    ) -> None:
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        notice = new(clock, envelope=make_envelope(clock, "alice@example.org", sender=""))

        (notice_id,) = storage.settle(claim, Settlement(closed={0: BOUNCED}, notices=[notice]))

        (entry,) = listed(storage)
        assert (notice_id, "main", "") == (entry.queue_id, entry.queue, entry.sender)
        assert [notice_id] == [again.queue_id for again in storage.claim("main", 1)]

    def test_notices_may_go_to_another_queue(self, storage: QueueStorage, clock: ManualClock) -> None:
        """Also while the message itself stays where it is, as with a warning that it is late."""
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        notice = new(clock, envelope=make_envelope(clock, "alice@example.org", sender=""), lane="far/")
        warning = Settlement(deferred={0: LATER}, due_at=clock.now(), notices=[notice], notice_queue="notices")

        (notice_id,) = storage.settle(claim, warning)

        assert {notice_id: "notices", claim.queue_id: "main"} == {one.queue_id: one.queue for one in listed(storage)}
        assert [claim.queue_id] == [again.queue_id for again in storage.claim("main", 9)]
        (claimed,) = storage.claim("notices", 9)
        assert (notice_id, "notices", "far/") == (claimed.queue_id, claimed.queue, claimed.lane)

    def test_wait_returns_when_there_is_a_notice_in_its_queue(self, storage: QueueStorage, clock: ManualClock) -> None:
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        waiter = gevent.spawn(storage.wait, "notices", 60.0)
        gevent.idle()
        notice = new(clock, envelope=make_envelope(clock, "alice@example.org", sender=""))
        storage.settle(claim, Settlement(closed={0: BOUNCED}, notices=[notice], notice_queue="notices"))

        waiter.join(WAKES_WITHIN_S)

        assert waiter.ready()

    def test_that_a_delay_was_reported_is_remembered(self, open_storage: OpenStorage, clock: ManualClock) -> None:
        """Else its sender would be told again after each attempt."""
        storage = open_storage()
        told, untold = claims(storage.write([new(clock, claim=True), new(clock, claim=True)], queue="main"))
        assert not storage.read(told).is_delay_reported

        storage.settle(told, Settlement(deferred={0: LATER}, due_at=clock.now(), reports_delay=True))
        storage.settle(untold, Settlement(deferred={0: LATER}, due_at=clock.now()))

        for _ in range(2):
            if self.is_durable:
                storage = open_storage()
            again = storage.claim("main", 9)
            reported = {claim.queue_id: storage.read(claim).is_delay_reported for claim in again}
            assert {told.queue_id: True, untold.queue_id: False} == reported
            for claim in again:
                storage.settle(claim, Settlement(deferred={0: LATER}, due_at=clock.now()))

    def test_that_a_delay_was_reported_is_no_settlements_to_take_back(
        self, storage: QueueStorage, clock: ManualClock
    ) -> None:
        """Also one that knows nothing about any recipient leaves it as it is."""
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        storage.settle(claim, Settlement(due_at=clock.now(), reports_delay=True))

        (again,) = storage.claim("main", 1)
        storage.settle(again, Settlement(due_at=clock.now()))

        (third,) = storage.claim("main", 1)
        assert storage.read(third).is_delay_reported

    def test_a_settlement_may_hold_the_message(self, storage: QueueStorage, clock: ManualClock) -> None:
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))

        storage.settle(claim, Settlement(held="looks odd"))

        (entry,) = listed(storage)
        assert (State.HELD, "looks odd") == (entry.state, entry.held)
        assert [] == list(storage.claim("main", 1))

    def test_a_claim_is_settled_once(self, storage: QueueStorage, clock: ManualClock) -> None:
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        storage.settle(claim, Settlement(deferred={0: LATER}, due_at=clock.now()))

        with pytest.raises(ClaimLost):
            storage.settle(claim, Settlement(closed={0: DELIVERED}))
        with pytest.raises(ClaimLost):
            storage.release(claim)
        with pytest.raises(ClaimLost):
            storage.read(claim)

        (entry,) = listed(storage)
        assert [("bob@example.test", LATER)] == list(entry.recipients)

    def test_a_late_owner_changes_nothing(self, storage: QueueStorage, clock: ManualClock) -> None:
        (late,) = claims(storage.write([new(clock, claim=True)], queue="main"))
        storage.release(late)
        (current,) = storage.claim("main", 1)

        with pytest.raises(ClaimLost):
            storage.settle(late, Settlement(closed={0: DELIVERED}))
        with pytest.raises(ClaimLost):
            storage.release(late, due_at=clock.now() + 3600)

        (entry,) = listed(storage)
        assert (State.ACTIVE, clock.now(), 1) == (entry.state, entry.due_at, entry.attempts)
        assert late.epoch < current.epoch
        assert BODY == content_of(storage.read(current).envelope)

    # entries and amend

    def test_entries_are_found_by_all_that_is_asked(self, storage: QueueStorage, clock: ManualClock) -> None:
        wanted = make_envelope(clock, "bob@example.test", "eve@Other.Test", sender="alice@example.org")
        other = make_envelope(clock, "carol@example.net", sender="")
        found, held = storage.write([new(clock, envelope=wanted), new(clock, envelope=other, held="why")], queue="main")
        storage.write([new(clock, envelope=wanted)], queue="second")

        def ids(query: Query) -> list[QueueId]:
            return [entry.queue_id for entry in storage.entries(query)]

        assert [found, held] == ids(Query(queue="main"))
        assert [found] == ids(Query(queue="main", sender="alice@example.org", states=[State.DUE]))
        assert [held] == ids(Query(sender=""))
        assert [found] == ids(Query(queue="main", recipient="bob@example.test"))
        assert [found] == ids(Query(queue="main", domain="other.test"))
        assert [held] == ids(Query(queue_ids=[id_of(held)]))
        assert [found] == ids(Query(limit=1))
        assert [found, held] == ids(Query(queue="main", attempts=0))
        assert [] == ids(Query(attempts=1))
        assert [] == ids(Query(queue_ids=[QueueId(f"{found}\n"), QueueId("../../x"), QueueId("")]))
        assert [] == ids(Query(recipient="bob@example.test", states=[State.HELD]))

    def test_entries_say_what_is_running(self, storage: QueueStorage, clock: ManualClock) -> None:
        storage.write([new(clock, claim=True)], queue="main")

        (entry,) = listed(storage)

        assert (State.ACTIVE, 1, len(BODY)) == (entry.state, entry.attempts, entry.size_bytes)

    def test_an_operator_holds_releases_and_hastens(self, storage: QueueStorage, clock: ManualClock) -> None:
        storage.write([new(clock, due_at=clock.now() + 3600)], queue="main")

        assert 1 == len(storage.amend(Query(), Change.HOLD))
        assert [State.HELD] == [entry.state for entry in listed(storage)]
        assert 1 == len(storage.amend(Query(), Change.RELEASE))
        assert [State.DUE] == [entry.state for entry in listed(storage)]
        assert [] == list(storage.claim("main", 1))
        assert 1 == len(storage.amend(Query(), Change.DUE_NOW))
        assert 1 == len(storage.claim("main", 1))

    def test_an_operator_bounces_also_what_is_held(self, storage: QueueStorage, clock: ManualClock) -> None:
        storage.write([new(clock, held="why")], queue="main")

        assert 1 == len(storage.amend(Query(), Change.BOUNCE))

        (claim,) = storage.claim("main", 1)
        assert storage.read(claim).must_bounce

    def test_an_operator_discards(self, storage: QueueStorage, clock: ManualClock) -> None:
        keep, drop = storage.write([new(clock), new(clock)], queue="main")

        assert 1 == len(storage.amend(Query(queue_ids=[id_of(drop)]), Change.DISCARD))

        assert [keep] == [entry.queue_id for entry in listed(storage)]

    def test_what_is_claimed_is_not_amended(self, storage: QueueStorage, clock: ManualClock) -> None:
        (claim,) = claims(storage.write([new(clock, claim=True)], queue="main"))

        assert 0 == len(storage.amend(Query(), Change.DISCARD))

        storage.settle(claim, Settlement(closed={0: DELIVERED}))

    def test_amend_gives_the_ids_of_what_it_has_changed(self, storage: QueueStorage, clock: ManualClock) -> None:
        plain, other, claim = storage.write([new(clock), new(clock), new(clock, claim=True)], queue="main")

        amended = storage.amend(Query(queue_ids=[id_of(plain), id_of(claim), QueueId("nobody0000000000")]), Change.HOLD)

        assert isinstance(amended, list | tuple)
        assert [plain] == list(amended)
        assert [other] == [entry.queue_id for entry in storage.entries(Query(states=[State.DUE]))]

    def test_what_has_changed_since_it_was_seen_is_not_amended(self, storage: QueueStorage, clock: ManualClock) -> None:
        """`states` and `attempts` are those that an operator has seen; one attempt later both may be others."""
        (queue_id,) = map(id_of, storage.write([new(clock)], queue="main"))
        (claim,) = storage.claim("main", 1)
        storage.settle(claim, Settlement(deferred={0: LATER}, due_at=clock.now()))

        seen_before = Query(queue_ids=[queue_id], states=[State.DUE], attempts=0)
        assert [] == list(storage.amend(seen_before, Change.DISCARD))
        assert [] == list(storage.amend(Query(states=[State.HELD], attempts=1), Change.DISCARD))
        assert [queue_id] == list(storage.amend(attrs.evolve(seen_before, attempts=1), Change.DISCARD))

    def test_many_who_amend_one_message_change_it_once(self, storage: QueueStorage, clock: ManualClock) -> None:
        """Case 77: one wins, and the others are told that they have changed nothing."""
        (queue_id,) = map(id_of, storage.write([new(clock)], queue="main"))
        query = Query(queue_ids=[queue_id], states=[State.DUE])

        hands = [gevent.spawn(storage.amend, query, Change.DISCARD) for _ in range(10)]
        gevent.joinall(hands, raise_error=True)

        assert [queue_id] == [one for hand in hands for one in hand.value or ()]

    # peek

    def test_a_peek_shows_a_message_whoever_has_claimed_it(self, storage: QueueStorage, clock: ManualClock) -> None:
        envelope = make_envelope(clock, "a@example.test", "b@example.test")
        (claim,) = claims(storage.write([new(clock, envelope=envelope, claim=True)], queue="main"))

        peeked = storage.peek(claim.queue_id)

        assert peeked is not None
        assert BODY == content_of(peeked.message.envelope)
        assert attrs.evolve(envelope, content=peeked.message.envelope.content) == peeked.message.envelope
        assert envelope.received_at == peeked.message.accepted_at
        assert [claim] == list(storage.renew([claim]))

    def test_a_peek_shows_open_recipients_apart_from_those_that_have_ended(
        self, storage: QueueStorage, clock: ManualClock
    ) -> None:
        """A storage need not remember those that have ended; what it tells of them is true."""
        envelope = make_envelope(clock, "a@example.test", "b@example.test")
        (claim,) = claims(storage.write([new(clock, envelope=envelope, claim=True)], queue="main"))
        storage.settle(claim, Settlement(closed={0: DELIVERED}, deferred={1: LATER}, due_at=clock.now() + 60))

        peeked = storage.peek(claim.queue_id)

        assert peeked is not None
        assert [(1, "b@example.test")] == [(r.number, r.address) for r in peeked.message.envelope.recipients]
        assert list(peeked.closed) in ([], [(envelope.recipients[0], DELIVERED)])

    def test_a_peek_says_what_an_operator_has_decided(self, storage: QueueStorage, clock: ManualClock) -> None:
        (queue_id,) = map(id_of, storage.write([new(clock)], queue="main"))
        storage.amend(Query(), Change.BOUNCE)

        peeked = storage.peek(queue_id)

        assert peeked is not None
        assert peeked.message.must_bounce

    @pytest.mark.parametrize("odd", ["nobody0000000000", "../../../etc/passwd", "", "--help", "a\0b", "x" * 300])
    def test_a_peek_at_what_is_not_there_shows_nothing(
        self, storage: QueueStorage, clock: ManualClock, odd: str
    ) -> None:
        """Case 72: an id is matched whole, and never a path."""
        (queue_id,) = map(id_of, storage.write([new(clock)], queue="main"))

        assert [None, None] == [storage.peek(QueueId(odd)), storage.peek(QueueId(f"{queue_id}\n"))]

    def test_renew_keeps_what_is_ours_and_leaves_out_what_is_not(
        self, storage: QueueStorage, clock: ManualClock
    ) -> None:
        ours, settled = claims(storage.write([new(clock, claim=True), new(clock, claim=True)], queue="main"))
        storage.settle(settled, Settlement(closed={0: DELIVERED}))

        assert [ours] == list(storage.renew([ours, settled]))

    # the rest

    def test_its_durability_is_one_sentence(self, storage: QueueStorage) -> None:
        assert re.fullmatch(r"[A-Z][^.]+\.", storage.durability)
