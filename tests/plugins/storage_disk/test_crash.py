"""Cases 61, 62, 64 and 65 on the real disk: the process is killed at its calls, and they fail, by strace's hand."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys

import pytest

from mdacore.testing.storage_samples import listed
from mdacore_storage_disk.folder import Folder, shard_of
from mdacore_storage_disk.fs import RealFs
from mdacore_storage_disk.ids import QueueIds

LINES_AT_MOST = 300
ROUNDS = 6

PRELUDE = """
import os, sys, time
from pathlib import Path
import gevent
from mdacore import Content, Context, Envelope, MdaError, MemoryBody, NewMessage, Query, Recipient, Settlement
from mdacore.log import configure, get_log
from mdacore.runtime import SystemClock
from mdacore.testing.storage_samples import BOUNCED, DELIVERED, LATER
from mdacore_storage_disk import DiskConfig, DiskStorage

configure(level="critical", stream=sys.stderr)
state = Path(sys.argv[1])
context = Context(instance="x", state_path=state, hostname="h", clock=SystemClock(), log=get_log())
storage = DiskStorage(DiskConfig(min_free_bytes=0), context)

def say(*words):
    os.write(1, (" ".join(words) + chr(10)).encode())

def part(text, sender="a@example.org", claim=True):
    recipients = tuple(Recipient(number=n, address=f"r{n}@example.test") for n in range(3))
    content = Content(MemoryBody(text))
    envelope = Envelope(sender=sender, recipients=recipients, content=content, received_at=time.time())
    return NewMessage(envelope=envelope, lane="local/", due_at=time.time(), claim=claim)

storage.start()
list(storage.entries(Query()))
"""

ONE_MESSAGE = (
    PRELUDE
    + """
say("BEGIN")
try:
    (claim,) = storage.write([part(b"x")], queue="main")
    say("STORED", claim.queue_id)
    storage.settle(claim, Settlement(closed={0: BOUNCED}, deferred={1: LATER, 2: LATER}, due_at=9e9,
                                     notices=[part(b"y", sender="", claim=False)]))
    say("SETTLED", claim.queue_id)
except MdaError as error:
    say("REFUSED", str(error.reply))
print(storage.refusal(0), flush=True)
os._exit(0)
"""
)

WRITER = (
    PRELUDE
    + """
def work(number):
    while True:
        first, second = storage.write([part(b"x" * 2000), part(b"y")], queue="main")
        say("stored", first.queue_id, second.queue_id)
        say("settling", first.queue_id)
        storage.settle(first, Settlement(closed={0: DELIVERED}, deferred={1: LATER, 2: LATER}, due_at=9e9))
        say("settled", first.queue_id)
        say("removing", second.queue_id)
        storage.settle(second, Settlement(closed=dict.fromkeys(range(3), DELIVERED)))
        say("removed", second.queue_id)

say("started")
gevent.joinall([gevent.spawn(work, number) for number in range(10)])
"""
)

MAY_BE_OPEN = {"stored": {3}, "settling": {3, 2}, "settled": {2}, "removing": {3, 0}, "removed": {0}}


class TestKill:
    def test_case_061_what_was_acknowledged_is_there_whole_whenever_the_process_dies(self, context, open_storage):
        chance = random.Random(20)
        may_be_open = {}
        for _ in range(ROUNDS):
            self.kill_at_random(context.state_path, may_be_open, chance)

        storage = open_storage()

        found = {entry.queue_id: len(entry.recipients) for entry in listed(storage)}
        wrong = {
            one: (found.get(one, 0), allowed)
            for one, allowed in may_be_open.items()
            if found.get(one, 0) not in allowed
        }
        assert {} == wrong
        assert {2, 3} >= set(found.values())
        assert len(may_be_open) > 100
        assert 0 == storage.health().facts["set_aside"]

    @staticmethod
    def kill_at_random(state, may_be_open, chance):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(state)], stdout=subprocess.PIPE, text=True)
        try:
            lines = [process.stdout.readline() for _ in range(1 + chance.randrange(LINES_AT_MOST))]
            process.send_signal(signal.SIGKILL)
            for line in [*lines[1:], *process.stdout.read().splitlines()]:
                word, *ids = line.split()
                may_be_open.update(dict.fromkeys(ids, MAY_BE_OPEN[word]))
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.fixture
def stored(open_storage, path):
    """The paths that ONE_MESSAGE will use in a store that is there and empty, by what they are."""
    open_storage().stop()
    number = int((path / "next-number").read_text().split()[0])
    stem = QueueIds.of_store(Folder(path, RealFs()).read_marker()).id_of(number, 0)
    folder = path / "messages" / shard_of(number)
    paths = {"folder": folder}
    for name, one in (("message", stem), ("notice", stem[:-1] + "1")):
        paths |= {f"new {name}": path / "tmp" / f"{one}.msg", name: folder / f"{one}.msg"}
        paths |= {f"{name}'s log": folder / f"{one}.log"}
    return paths


def strace(state, *arguments):
    """Run ONE_MESSAGE under strace; gives what it said."""
    command = ["strace", "-f", "-y", *arguments, sys.executable, "-c", ONE_MESSAGE, str(state)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert "BEGIN" in done.stdout, done.stderr[-500:]
    return done.stdout


def in_order(lines, *steps):
    """The steps that were not found, one after the other."""
    wanted = list(steps)
    for line in lines:
        if wanted and re.search(wanted[0], line):
            wanted.pop(0)
    return wanted


@pytest.mark.needs("strace")
class TestOrder:
    @pytest.fixture
    def lines(self, stored, context, tmp_path):
        """The calls that changed or synced something, and what was said, since BEGIN."""
        trace = tmp_path / "trace"
        strace(context.state_path, "-e", "trace=write,pwrite64,fsync,rename", "-o", str(trace))
        lines = trace.read_text().splitlines()
        return lines[next(n for n, line in enumerate(lines) if '"BEGIN' in line) :]

    def said(self, lines, word):
        return next(n for n, line in enumerate(lines) if f'"{word}' in line)

    def test_case_062_file_then_name_are_durable_before_the_acknowledgement(self, lines):
        """Case 62: write < fsync(file) < rename < fsync(folder) < acknowledgement."""
        left = in_order(
            lines[: self.said(lines, "STORED")],
            r"pwrite64\(\d+<[^>]*/tmp/\w+\.msg>",
            r"fsync\(\d+<[^>]*/tmp/\w+\.msg>",
            r"rename\(.*/tmp/\w+\.msg.*/messages/\w\w/\w+\.msg",
            r"fsync\(\d+<[^>]*/messages/\w\w>",
        )

        assert [] == left

    def test_case_062_a_notice_is_durable_before_the_line_that_names_it_and_that_before_the_end(self, lines):
        left = in_order(
            lines[self.said(lines, "STORED") : self.said(lines, "SETTLED")],
            r"fsync\(\d+<[^>]*/tmp/\w+001\.msg>",
            r"rename\(.*001\.msg",
            r"fsync\(\d+<[^>]*/messages/\w\w>",
            r"pwrite64\(\d+<[^>]*000\.log>",
            r"fsync\(\d+<[^>]*000\.log>",
        )

        assert [] == left


@pytest.mark.needs("strace")
class TestFaults:
    """What the system says is answered as it should be, and the next start finds nothing that was refused."""

    @pytest.mark.parametrize(
        ("call", "what", "error", "reply", "works_on"),
        [
            ("openat", "new message", "EMFILE", "451 4.3.0", True),
            ("openat", "new message", "ENOSPC", "452 4.3.1", True),
            ("pwrite64", "new message", "ENOSPC", "452 4.3.1", True),
            ("pwrite64", "new message", "EIO", "451 4.3.0", True),
            ("fsync", "new message", "ENOSPC", "452 4.3.1", True),
            ("fsync", "new message", "EIO", "451 4.3.0", False),
            ("openat", "message's log", "ENOSPC", "452 4.3.1", True),
            ("rename", "new message", "ENOSPC", "452 4.3.1", True),
            ("fsync", "folder", "EIO", "451 4.3.0", False),
        ],
    )
    def test_case_064_a_write_of_which_a_call_fails(
        self, stored, context, open_storage, call, what, error, reply, works_on
    ):
        said = strace(context.state_path, "-P", str(stored[what]), "-e", f"inject={call}:error={error}")

        assert f"REFUSED {reply}" in said
        assert works_on == said.endswith("None\n")
        assert [] == listed(open_storage())

    @pytest.mark.parametrize(
        ("call", "what", "open_recipients"),
        [
            ("openat", "new message", []),
            ("pwrite64", "new message", []),
            ("fsync", "new message", []),
            ("openat", "message's log", []),
            ("rename", "new message", [3]),
            ("fsync", "folder", [3]),
            ("pwrite64", "new notice", [3]),
            ("fsync", "new notice", [3]),
            ("rename", "new notice", [3]),
            ("pwrite64", "message's log", [2, 3]),
            ("fsync", "message's log", [2, 3]),
        ],
    )
    def test_case_061_a_kill_at_a_call_leaves_all_or_nothing(
        self, stored, context, open_storage, call, what, open_recipients
    ):
        """Case 61. The call itself may have been made or not; a notice is there if its original's line is."""
        said = strace(context.state_path, "-P", str(stored[what]), "-e", f"inject={call}:signal=KILL")
        assert "SETTLED" not in said

        storage = open_storage()

        found = {entry.sender: len(entry.recipients) for entry in listed(storage)}
        assert ("" in found) == (found.get("a@example.org") == 2)
        if "STORED" in said:
            assert "a@example.org" in found
        assert found.get("a@example.org", 0) in (0, *open_recipients)
        assert 0 == storage.health().facts["set_aside"]
