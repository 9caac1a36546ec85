"""Cases 61 and 63: whatever a crash leaves, what was promised is there, and nothing else is.

A life of the storage runs on a file system that forgets what was not synced. After each of its file calls the states in
which a kill or a loss of power may leave the disk are enumerated, the storage is started on each, and what it has is
compared with what its callers had been told by then. `MDACORE_CRASH_STATES` says how many states of each moment are
tried (where there are more); the seed of each is in the message of a failure.
"""

from __future__ import annotations

import copy
import errno
import os
from pathlib import Path

import attrs
import pytest

from mdacore import (
    Change,
    Closing,
    Content,
    Envelope,
    MemoryBody,
    NewMessage,
    Outcome,
    Query,
    QueueId,
    Recipient,
    Reply,
    Settlement,
    StorageError,
    StorageFull,
)
from mdacore.testing import ManualClock, content_of, make_context
from mdacore_storage_disk import DiskConfig, DiskStorage
from mdacore_storage_disk.testing import VolatileFs

STATES = int(os.environ.get("MDACORE_CRASH_STATES", "6"))
BODY = b"Subject: hello\r\n\r\n" + b"0123456789abcdef" * 64 + b"\r\n"
DELIVERED = Closing(outcome=Outcome.DELIVERED, reply=Reply(code=250))
BOUNCED = Closing(outcome=Outcome.BOUNCED, reply=Reply(code=550), notice="sent")
LATER = Reply(code=451)
GONE = ()


def message(name, *, count=3, claim=True, is_notice=False, body=None):
    recipients = tuple(Recipient(number=n, address=f"{name}@{n}.test") for n in range(count))
    sender = "" if is_notice else "alice@example.org"
    content = Content(body or MemoryBody(name.encode() + BODY))
    envelope = Envelope(sender=sender, recipients=recipients, content=content, received_at=0.0)
    return NewMessage(envelope=envelope, lane="local/", due_at=0.0, claim=claim)


def everybody(*numbers):
    return dict.fromkeys(numbers, DELIVERED)


@attrs.define
class Promises:
    """What callers have been told so far.

    Attributes:
        open: which recipients of each message may be found open, by its name; GONE: it may be gone.
        follows: notices that are there if, and only if, the open recipients of their original are these.
        given: ids that messages have or had.
        key_ids: what a write with the key ``"key"`` gives; None = it has not been told.
        attempts: how often each message was handed out at least.
    held: the messages that an operator holds.
    """

    open: dict[str, set[tuple[int, ...]]] = attrs.field(factory=dict)
    follows: dict[str, tuple[str, set[tuple[int, ...]]]] = attrs.field(factory=dict)
    given: set[QueueId] = attrs.field(factory=set)
    key_ids: list[QueueId] | None = None
    attempts: dict[str, int] = attrs.field(factory=dict)
    held: set[str] = attrs.field(factory=set)

    def copy(self):
        return copy.deepcopy(self)


@attrs.define
class Moment:
    """The disk after one file call, and what had been promised by then; `syncs` is how many had been made."""

    call: str
    path: Path
    syncs: int
    now: float
    fs: VolatileFs
    promises: Promises


class Life:
    """One run of the storage, with all its moments."""

    def __init__(self, fs, before=None):
        self.fs = fs
        self.clock = before.clock if before else ManualClock()
        self.promises = before.promises if before else Promises()
        self.moments = before.moments if before else []
        self.faults = {}
        self._last = ("", Path())
        fs.before, fs.after = self._before, self.see
        self.storage = disk_storage(fs, self.clock)

    def start(self):
        self.storage.start()
        list(self.storage.entries(Query()))

    def stop(self):
        self.see()
        self.storage.stop()
        self.fs.before, self.fs.after = lambda _call, _path: None, lambda: None

    def _before(self, call, path):
        self._last = (call, path)
        for (wanted, ending), error in self.faults.items():
            if call == wanted and str(path).endswith(ending):
                raise OSError(error, os.strerror(error))

    def see(self):
        """One more moment: now."""
        self.moments.append(
            Moment(*self._last, len(self.fs.syncs), self.clock.now(), self.fs.killed(), self.promises.copy())
        )

    # what callers do, and what they are told

    def write(self, *names, key=""):
        states = self.promises.open
        body = MemoryBody(b"shared" + BODY)
        states.update((name, {GONE, (0, 1, 2)}) for name in names)
        given = self.storage.write([message(name, body=body) for name in names], queue="main", key=key)
        states.update((name, {(0, 1, 2)}) for name in names)
        ids = [one.queue_id for one in given]
        self.promises.given.update(ids)
        if key:
            self.promises.key_ids = ids
        return given if len(given) > 1 else given[0]

    def write_refused(self, name):
        self.promises.open[name] = {GONE, (0, 1, 2)}
        with pytest.raises(StorageFull):
            self.storage.write([message(name)], queue="main")
        self.promises.open[name] = {GONE}

    def settle(self, name, claim, closed, *, left, notice=""):
        (before,) = self.promises.open[name]
        self.promises.open[name] = {before, left}
        if notice:
            self.promises.follows[notice] = (name, {left})
        deferred = dict.fromkeys(left, LATER)
        notices = [message(notice, count=1, claim=False, is_notice=True)] if notice else []
        try:
            ids = self.storage.settle(claim, Settlement(closed=closed, deferred=deferred, due_at=0.0, notices=notices))
        except StorageError:
            self.promises.open[name] = {before}
            raise
        self.promises.open[name] = {left}
        self.promises.given.update(ids)
        self.sealed(notice, {(0,)})

    def sealed(self, notice, states):
        """From now on it is a message like any other."""
        if self.promises.follows.pop(notice, None):
            self.promises.open[notice] = states

    def claim(self, name):
        (claim,) = (one for one in self.claim_all() if self.name_of(one) == name)
        return claim

    def claim_all(self):
        claims = [*self.storage.claim("main", 100), *iter(lambda: self.storage.claim_suspect("main"), None)]
        for claim in claims:
            self.promises.attempts[self.name_of(claim)] = claim.attempt
        return claims

    def release(self, name, claim):
        self.promises.attempts[name] -= 1
        self.storage.release(claim, due_at=self.clock.now())

    def hold(self, name):
        assert len(self.storage.amend(Query(recipient=f"{name}@0.test"), Change.HOLD)) == 1
        self.promises.held.add(name)
        self.see()

    def unhold(self, name):
        self.promises.held.discard(name)
        assert len(self.storage.amend(Query(recipient=f"{name}@0.test"), Change.RELEASE)) == 1

    def name_of(self, claim):
        return name_of(self.storage.read(claim).envelope.recipients[0].address)

    def tick(self):
        self.storage._engine.upkeep.tick()


def name_of(address):
    return address.partition("@")[0]


def disk_storage(fs, clock):
    config = DiskConfig(path=Path("/spool"), min_free_bytes=0, parallel_syncs=1)
    return DiskStorage(config, make_context("storages.spool", clock=clock), fs)


def violations(fs, moment):
    """What is wrong with what the storage makes of this disk at this moment; ``[]`` = nothing."""
    storage = disk_storage(fs, ManualClock(moment.now))
    try:
        storage.start()
    except StorageError as error:
        return [f"it does not start: {error}"]
    try:
        return list(_violations(storage, moment.promises))
    except StorageError as error:
        return [f"it does not work: {error}"]
    finally:
        storage.stop()


def _violations(storage, promises):
    entries = list(storage.entries(Query()))
    found = {}
    for entry in entries:
        if not entry.recipients:
            yield f"{entry.queue_id} cannot be read: {entry.held}"
            continue
        name = name_of(entry.recipients[0][0])
        if name in found:
            yield f"{name} is there twice"
        found[name] = tuple(int(address.rpartition("@")[2].partition(".")[0]) for address, _ in entry.recipients)
        if name in promises.held and not entry.held:
            yield f"{name} is not held"
        if entry.attempts < promises.attempts.get(name, 0):
            yield f"{name} has {entry.attempts} attempts"
    for name, states in promises.open.items():
        if found.get(name, GONE) not in states:
            yield f"{name} is {found.get(name, GONE)}, not one of {states}"
    for notice, (original, states) in promises.follows.items():
        if (notice in found) != (found.get(original, GONE) in states):
            yield f"{notice} is {found.get(notice)} with its original {found.get(original, GONE)}"
    if strangers := found.keys() - promises.open.keys() - promises.follows.keys():
        yield f"nobody knows {strangers}"
    if storage.health().facts["set_aside"]:
        yield "a crash made something foreign or damaged"
    yield from _claim_violations(storage, found)
    yield from _new_id_violations(storage, promises, {entry.queue_id for entry in entries})


def _claim_violations(storage, found):
    claims = [*storage.claim("main", 100), *iter(lambda: storage.claim_suspect("main"), None)]
    held = [entry for entry in storage.entries(Query()) if entry.held]
    if len(claims) + len(held) != len(found):
        yield f"{len(claims)} of {len(found)} can be claimed"
    for claim in claims:
        envelope = storage.read(claim).envelope
        if not content_of(envelope).endswith(BODY):
            yield f"{claim.queue_id} has another body"


def _new_id_violations(storage, promises, there):
    if promises.key_ids is not None:
        again = storage.write([message("again", claim=False)], queue="main", key="key")
        if list(again) != promises.key_ids:
            yield f"the key gives {again}, not {promises.key_ids}"
    (queue_id,) = storage.write([message("new", claim=False)], queue="main")
    if queue_id in promises.given | there:
        yield f"{queue_id} is given twice"


def first_violation(moments, *, at_most=STATES):
    """The first state that is wrong, with what has to be known to see it again; ``""`` = there is none."""
    for number, moment in enumerate(moments):
        for pick, fs in enumerate(moment.fs.crashed(at_most=at_most, seed=number)):
            if wrong := violations(fs, moment):
                return f"moment {number} ({moment.call} {moment.path}), state {pick} of {at_most}: {wrong}"
    return ""


def telling(moments):
    """Without most of the moments at which one empty folder after the other is made."""
    return [m for m in moments if m.call != "mkdir" or m.path.name in ("spool", "messages", "00", "3f", "tmp")]


def a_long_life(fs):
    """Everything that a storage does, once."""
    life = Life(fs)
    life.start()
    a = life.write("a")
    b, _ = life.write("b", "c", key="key")
    life.settle("a", a, {0: DELIVERED, 2: BOUNCED}, left=(1,), notice="n1")
    life.settle("b", b, everybody(0, 1), left=(2,))

    life.faults = {("rename", ".msg"): errno.ENOSPC}
    life.write_refused("refused1")
    life.faults = {("write", ".msg"): errno.ENOSPC}
    life.write_refused("refused2")
    life.faults = {}

    first, *others = (one for one in life.claim_all() if life.name_of(one) == "a")
    assert [] == others
    life.faults = {("write", ".log"): errno.ENOSPC}
    with pytest.raises(StorageFull):
        life.settle("a", first, {1: BOUNCED}, left=GONE, notice="never")
    life.promises.follows.pop("never", None)
    life.promises.open["never"] = {GONE}
    life.faults = {}
    life.settle("a", first, everybody(1), left=GONE)
    life.tick()

    life.stop()
    life2 = Life(fs, life)
    life2.start()
    for claim in life2.claim_all():
        name = life2.name_of(claim)
        if name == "n1":
            life2.settle("n1", claim, everybody(0), left=GONE)
        elif name == "b":
            life2.settle("b", claim, {2: BOUNCED}, left=GONE, notice="n2")
        else:
            life2.release(name, claim)
    life2.tick()
    life2.hold("c")
    life2.unhold("c")
    life2.settle("c", life2.claim("c"), everybody(0, 1, 2), left=GONE)
    life2.tick()
    life2.promises.key_ids = None
    life2.clock.advance(49 * 3600)  # the key is forgotten
    life2.tick()
    life2.write("d")
    life2.stop()
    return life2


@pytest.fixture(scope="module")
def life():
    return a_long_life(VolatileFs())


class TestLife:
    def test_case_061_at_no_moment_does_a_kill_break_a_promise(self, life):
        assert [] == [wrong for m in telling(life.moments) if (wrong := violations(m.fs.killed(), m))]

    def test_case_063_at_no_moment_does_a_loss_of_power_break_a_promise(self, life):
        moments = telling(life.moments)

        assert first_violation(moments) == ""
        assert len(moments) > 100

    def test_each_kind_of_call_was_made(self, life):
        calls = {moment.call for moment in life.moments}

        assert {"create", "write", "sync", "rename", "unlink", "mkdir", "sync_folder"} <= calls


class TestSecondCrash:
    """What recovery does is itself interrupted, and what follows it relies on it."""

    def test_a_log_that_recovery_made_is_there_when_it_counts(self, life):
        """A crash left a message file's name, and not its log's."""
        moment = next(m for m in life.moments if m.call == "rename" and m.path.suffix == ".msg")
        left = next(fs for fs in moment.fs.crashed(at_most=200, seed=0) if without_log(fs))

        again = self.delivers(left, moment.promises, count=1)

        assert first_violation(again.moments) == ""

    def test_a_notice_that_recovery_took_back_stays_away(self, life):
        """A crash came after the notice was there, and before the log named it."""
        notice = next(m.path for m in life.moments if m.call == "rename" and m.path.stem.endswith("001"))
        moment = next(m for m in life.moments if m.call == "sync_folder" and notice in files(m.fs))
        left = next(moment.fs.crashed(at_most=1, seed=0))
        assert notice in files(left)

        again = self.delivers(left, moment.promises, count=3)

        assert "n1" not in again.promises.open
        assert first_violation(again.moments) == ""

    def test_what_a_kill_left_in_the_page_cache_is_durable_before_it_is_believed(self, life):
        """Else a loss of power after the next start takes back what that run has built on."""
        moments = [m for m in life.moments if m.call == "write" and m.path.suffix == ".log"]

        assert [True] * len(moments) == [self.is_believed_rightly(m) for m in moments]
        assert [True] * len(moments) != [self.is_believed_rightly(m, ignored={2}) for m in moments]

    @staticmethod
    def delivers(fs, promises, *, count):
        """A life in which every message that there is is delivered to so many recipients."""
        life = Life(fs)
        life.promises = promises.copy()
        life.start()
        claims = life.claim_all()
        assert len(claims) > 0
        for claim in claims:
            name = life.name_of(claim)
            numbers = tuple(r.number for r in life.storage.read(claim).envelope.recipients)
            life.promises.open[name] = {numbers}
            life.settle(name, claim, everybody(*numbers[:count]), left=numbers[count:])
        life.tick()
        life.stop()
        return life

    @staticmethod
    def is_believed_rightly(moment, ignored=frozenset()):
        fs = moment.fs.killed()
        fs.ignored = set(ignored)
        found = listed(fs, moment)
        assert fs.syncs[2] == "all"
        return all(listed(lost, moment) == found for lost in fs.crashed(at_most=STATES, seed=0))


def listed(fs, moment):
    storage = disk_storage(fs, ManualClock(moment.now))
    storage.start()
    try:
        return sorted((entry.queue_id, len(entry.recipients), entry.held) for entry in storage.entries(Query()))
    finally:
        storage.stop()


def files(fs):
    """The paths of all message files and logs."""
    shards = Path("/spool/messages")
    try:
        fs.status(shards)
    except FileNotFoundError:
        return set()
    return {shards / shard / name for shard in fs.names(shards) for name in fs.names(shards / shard)}


def without_log(fs):
    found = files(fs)
    return any(path.suffix == ".msg" and path.with_suffix(".log") not in found for path in found)


# Numbers of syncs in `a_long_life`, and why a promise does not hang on them
NEEDLESS = {
    6: "the marker's name: the reservation of numbers that follows syncs the same folder",
    17: "of a file whose write was refused afterwards",
    22: "of a notice whose settlement failed afterwards",
    28: "of the first of two claims in one file: the second one's serves both",
}


class TestSimulator:
    """The simulator finds what it is there for: no sync can be left out unnoticed."""

    def test_every_sync_that_is_left_out_is_noticed(self, life):
        numbers = set(range(len(life.fs.syncs))) - NEEDLESS.keys()
        unnoticed = [(number, life.fs.syncs[number]) for number in sorted(numbers) if not self.is_noticed(number)]

        assert len(numbers) > 30
        assert unnoticed == []

    def is_noticed(self, number):
        fs = VolatileFs()
        fs.ignored = {number}
        try:
            life = a_long_life(fs)
        except StorageError:
            return True
        moments = [moment for moment in telling(life.moments) if moment.syncs > number]
        return any(first_violation(moments, at_most=at_most) for at_most in (1, 12, 48))
