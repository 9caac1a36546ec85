"""Cases 61, 62, 75 and 76: the process is killed, and everything that was acknowledged is there."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from mdacore.testing import content_of
from mdacore.testing.storage_samples import listed
from mdacore_storage_shelve import open_shelf
from mdacore_storage_shelve.folder import Folder
from mdacore_storage_shelve.ids import QueueIds

ROUNDS = 12
LINES_AT_MOST = 400

PRELUDE = """
import os, sys, time
from pathlib import Path
import gevent
from mdacore import Content, Context, Envelope, FileBody, MemoryBody, NewMessage, Recipient, Settlement
from mdacore.log import configure, get_log
from mdacore.runtime import SystemClock
from mdacore.testing.storage_samples import DELIVERED, LATER
from mdacore_storage_shelve import ShelveConfig, ShelveStorage

configure(level="error", stream=sys.stderr)
state = Path(sys.argv[1])
context = Context(instance="x", state_path=state, hostname="h", clock=SystemClock(), log=get_log())
storage = ShelveStorage(ShelveConfig(min_free_bytes=0), context)

def say(*words):
    os.write(1, (" ".join(words) + chr(10)).encode())

def part(body):
    recipients = tuple(Recipient(number=n, address=f"r{n}@example.test") for n in range(3))
    envelope = Envelope(sender="a@example.org", recipients=recipients, content=Content(body), received_at=time.time())
    return NewMessage(envelope=envelope, lane="local/", due_at=time.time(), claim=True)
"""

WRITER = (
    PRELUDE
    + """
def work(number):
    while True:
        if number == 0:
            path = storage.spool_path / f"{os.getpid()}.{time.monotonic_ns()}"
            path.write_bytes(b"Subject: large" + bytes(300_000))
            body = FileBody(path, path.stat().st_size)
        else:
            body = MemoryBody(b"Subject: small" + bytes(2_000))
        first, second = storage.write([part(body), part(body)], queue="main")
        if number == 0:
            path.unlink()
        say("stored", first.queue_id, second.queue_id)
        say("settling", first.queue_id)
        storage.settle(first, Settlement(closed={0: DELIVERED}, deferred={1: LATER, 2: LATER}, due_at=9e9))
        say("settled", first.queue_id)
        say("removing", second.queue_id)
        storage.settle(second, Settlement(closed=dict.fromkeys(range(3), DELIVERED)))
        say("removed", second.queue_id)

storage.start()
say("started")
gevent.joinall([gevent.spawn(work, number) for number in range(10)])
"""
)

ONE_MESSAGE = (
    PRELUDE
    + """
storage.start()
path = storage.spool_path / "large"
path.write_bytes(bytes(300_000))
say("BEGIN")
storage.write([part(MemoryBody(b"x")), part(FileBody(path, 300_000))], queue="main")
say("STORED")
storage.stop()
"""
)

ALL, TWO, NONE = (0, 1, 2), (1, 2), ()


@attrs.define
class Expectation:
    """What may be left of each message, by all that was said before the kill."""

    may_be_open: dict[str, set[tuple[int, ...]]] = attrs.field(factory=dict)

    def hear(self, line: str) -> None:
        word, *ids = line.split()
        changed = {
            "stored": {ALL},
            "settling": {ALL, TWO},
            "settled": {TWO},
            "removing": {ALL, NONE},
            "removed": {NONE},
        }
        for queue_id in ids:
            self.may_be_open[queue_id] = changed[word]


def kill_at_random(state, expectation, chance):
    """Let it write and kill it somewhere; all that it had said by then is taken in."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(state)], stdout=subprocess.PIPE, text=True)
    try:
        assert "started\n" == process.stdout.readline()
        for _ in range(chance.randrange(LINES_AT_MOST)):
            expectation.hear(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        said = process.stdout.read()
        for line in said.splitlines():
            expectation.hear(line)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class TestKill:
    def test_case_061_what_was_acknowledged_is_there_whole_whenever_the_process_dies(self, context, path, open_storage):
        chance = random.Random(20)
        expectation = Expectation()
        for _ in range(ROUNDS):
            kill_at_random(context.state_path, expectation, chance)

            with open_shelf(path) as shelf:
                found = {
                    queue_id: tuple(recipient.number for recipient in envelope.recipients)
                    for queue_id, envelope in shelf.items()
                }
            wrong = {
                queue_id: (found.get(queue_id, NONE), allowed)
                for queue_id, allowed in expectation.may_be_open.items()
                if found.get(queue_id, NONE) not in allowed
            }
            assert {} == wrong
            # what nobody was told of is there whole or not at all
            assert {ALL, TWO} >= {found[queue_id] for queue_id in found.keys() - expectation.may_be_open.keys()}
        assert len(expectation.may_be_open) > 200

        storage = open_storage()
        storage._engine._upkeep.tick()
        bodies = {Path(file).name for file in Folder(path).bodies.iterdir()}
        named = set()
        with open_shelf(path) as shelf:
            for envelope in shelf.values():
                body = content_of(envelope)
                assert body in (b"Subject: small" + bytes(2_000), b"Subject: large" + bytes(300_000))
                if len(body) > 300_000:
                    named.add(envelope.content.body.path.name)
        assert named == bodies

    def test_case_061_parts_of_one_write_are_there_together(self, context, path):
        chance = random.Random(21)
        for _ in range(3):
            kill_at_random(context.state_path, Expectation(), chance)

        ids = QueueIds.of_store(Folder(path).read_marker())
        with open_shelf(path) as shelf:
            numbers = {ids.decode(queue_id) for queue_id in shelf}
        # numbers come in pairs, and the first of each pair is never removed
        assert len(numbers) > 20
        assert [] == [number for number in numbers if number % 2 == 0 and number - 1 not in numbers]

    def test_case_061_a_claim_of_the_dead_is_counted_once(self, context, open_storage, clock):
        kill_at_random(context.state_path, Expectation(), random.Random(22))

        storage = open_storage()
        clock.advance(3600)

        again = storage.claim("main", 10_000)
        assert len(again) > 0
        assert {(2, 1)} == {(claim.attempt, claim.unsettled) for claim in again}

    def test_case_072_an_id_is_never_given_again(self, context, open_storage):
        before, after = Expectation(), Expectation()
        kill_at_random(context.state_path, before, random.Random(23))
        kill_at_random(context.state_path, after, random.Random(24))

        assert set() == before.may_be_open.keys() & after.may_be_open.keys()
        assert len(listed(open_storage())) > 0


@pytest.mark.needs("strace")
class TestOrder:
    def test_case_062_bodies_then_the_log_are_synced_before_the_acknowledgement(self, context, tmp_path):
        """Case 62: link < fsync(file) < fsync(folder) < write to the log < fdatasync(log) < acknowledgement."""
        trace = tmp_path / "trace"
        calls = "trace=write,pwrite64,fsync,fdatasync,linkat"
        command = ["strace", "-f", "-y", "-e", calls, "-o", str(trace), sys.executable, "-c", ONE_MESSAGE]
        traced = subprocess.run([*command, str(context.state_path)], capture_output=True, text=True)
        if "BEGIN" not in traced.stdout:
            pytest.skip(f"strace does not work here: {traced.stderr[-200:]}")

        lines = trace.read_text().splitlines()
        begin = next(n for n, line in enumerate(lines) if '"BEGIN' in line)
        stored = next(n for n, line in enumerate(lines) if '"STORED' in line)
        wanted = iter(
            [
                r"linkat\(",
                r"fsync\(\d+<[^>]*/bodies/\w+>",
                r"fsync\(\d+<[^>]*/bodies>",
                r"pwrite64\(\d+<[^>]*queue.db-wal>",
                r"fdatasync\(\d+<[^>]*queue.db-wal>",
            ]
        )
        step = next(wanted)
        for line in lines[begin:stored]:
            if step and re.search(step, line):
                step = next(wanted, None)
        assert step is None
        last_write = max(n for n in range(begin, stored) if "pwrite64(" in lines[n] and "queue.db-wal" in lines[n])
        assert any("fdatasync(" in line for line in lines[last_write:stored])
