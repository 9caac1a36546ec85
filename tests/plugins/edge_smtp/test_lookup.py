"""Files of recipients: their format, and when they are read."""

from __future__ import annotations

import os
import threading

import gevent
import pytest

from mdacore import Reply
from mdacore_edge_smtp import events, lookup
from mdacore_edge_smtp.lookup import KNOWN, LOOK_INTERVAL_S, LookupTable, read_table

TABLE = """\
# who gets mail
bob@example.test    OK

Carol@Example.Test
    ok
"quoted one"@example.test OK
dave@example.test REJECT moved away
erin@example.test DEFER
frank@example.test 550 5.2.1 Mailbox disabled
@all.test OK
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "recipients"
    path.write_text(TABLE)
    return path


@pytest.fixture
def table(path, clock, log):
    return LookupTable(path, clock=clock, log=log)


class SlowDisk:
    """Reads as the disk does, once it goes on."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()

    def __call__(self, *arguments) -> lookup.Reading:
        assert self.goes_on.wait(60)
        return read_table(*arguments)


@pytest.fixture
def slow_disk():
    disk = SlowDisk()
    yield disk
    disk.goes_on.set()  # lets the thread go


def replace(path, text: str) -> None:
    """As operators should do it: the new file is whole when it gets its name."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


class TestFormat:
    @pytest.mark.parametrize(
        ("key", "expected"),
        [
            (("bob", "example.test"), KNOWN),
            (("carol", "example.test"), KNOWN),
            (("quoted one", "example.test"), KNOWN),
            (("dave", "example.test"), Reply(code=550, enhanced="5.7.1", text="moved away")),
            (("erin", "example.test"), Reply(code=450, enhanced="4.7.1", text="Recipient refused for now")),
            (("frank", "example.test"), Reply(code=550, enhanced="5.2.1", text="Mailbox disabled")),
            (("", "all.test"), KNOWN),
        ],
    )
    def test_each_line_is_an_address_and_an_action(self, path, key, expected):
        found = read_table(path)

        assert () == found.mistakes
        assert expected == found.entries[key]

    @pytest.mark.parametrize(
        ("line", "mistake"),
        [
            ("bob@example.test", "this is not an address and an action"),
            ("bob OK", "'bob' is not an address, or a domain after @"),
            ("@ OK", "'@' is not an address, or a domain after @"),
            ("eve@example.test FORWARD x", "the action 'FORWARD' is none of OK, REJECT, DEFER"),
            ("eve@example.test OK indeed", "the action 'OK' is none of"),
            ("eve@example.test 250 2.0.0 fine", "the action '250' is none of"),
            ("eve@example.test 550 4.0.0 no", "enhanced status code '4.0.0' does not fit reply code 550"),
            ("eve@example.test REJECT \x1b[31m", "reply text is not printable"),
            ("BOB@example.test OK", "BOB@example.test stands in here twice"),
            ('"eve@example.test OK', "this is not an address and an action"),
        ],
    )
    def test_a_bad_line_is_told_with_its_number(self, path, line, mistake):
        path.write_text(f"# comment\nbob@example.test REJECT\n\n{line}\n")

        found = read_table(path)

        assert found.entries is None
        (told,) = found.mistakes
        assert told.startswith(f"{path}:4: {mistake}")

    def test_what_is_not_utf8_is_told_with_its_line(self, path):
        path.write_bytes(b"a@b.test OK\nj\xf6rg@b.test OK\n")

        assert (f"{path}:2: this is not UTF-8",) == read_table(path).mistakes

    def test_of_many_mistakes_the_first_are_told(self, path):
        path.write_text("nonsense\n" * 1000)

        assert 20 == len(read_table(path).mistakes)

    def test_a_line_of_quotes_is_read_in_linear_time(self, path):
        path.write_text('"' * 200_000 + "\n")

        with gevent.Timeout(60):
            assert 1 == len(read_table(path).mistakes)


class TestReading:
    @pytest.fixture(autouse=True)
    def patience(self, monkeypatch):
        """A machine that is busy is not what is tested."""
        monkeypatch.setattr(lookup, "MAX_WAIT_S", 60.0)

    def test_a_change_is_seen_after_the_interval(self, table, path, clock):
        assert ("bob", "example.test") in table.entries()
        replace(path, "eve@example.test OK\n")
        assert ("bob", "example.test") in table.entries()

        clock.advance(LOOK_INTERVAL_S)

        assert [("eve", "example.test")] == list(table.entries())

    def test_it_is_read_once_while_it_does_not_change(self, table, clock, log):
        for _ in range(3):
            table.entries()
            clock.advance(LOOK_INTERVAL_S)

        assert [7] == [fields["entry_count"] for fields in log.of(events.EDGE_TABLE_READ)]

    @pytest.mark.parametrize("harm", ["nonsense\n", None], ids=["wrong", "gone"])
    def test_what_it_said_holds_while_it_is_wrong_or_gone_and_that_is_told_once(self, table, path, clock, log, harm):
        table.entries()
        path.unlink() if harm is None else replace(path, harm)

        for _ in range(3):
            clock.advance(LOOK_INTERVAL_S)
            assert ("bob", "example.test") in table.entries()

        assert 1 == len(log.of(events.EDGE_TABLE_FAILED))

    def test_it_is_used_again_once_it_is_right(self, table, path, clock, log):
        table.entries()
        for text in ("nonsense\n", "eve@example.test OK\n", "nonsense\n"):
            replace(path, text)
            clock.advance(LOOK_INTERVAL_S)
            table.entries()

        assert [("eve", "example.test")] == list(table.entries())
        assert 2 == len(log.of(events.EDGE_TABLE_FAILED))

    def test_one_that_was_never_right_is_told_from_an_empty_one(self, tmp_path, clock, log):
        empty = tmp_path / "empty"
        empty.touch()

        assert LookupTable(tmp_path / "missing", clock=clock, log=log).entries() is None
        assert {} == LookupTable(empty, clock=clock, log=log).entries()

    def test_a_disk_that_hangs_holds_nobody_up_for_long(self, table, path, clock, monkeypatch, slow_disk):
        table.entries()
        monkeypatch.setattr(lookup, "MAX_WAIT_S", 0.01)
        monkeypatch.setattr(lookup, "read_table", slow_disk)
        clock.advance(LOOK_INTERVAL_S)

        assert ("bob", "example.test") in table.entries()

    def test_the_hub_goes_on_while_it_is_read_and_all_who_ask_get_the_new_one(
        self, table, path, clock, monkeypatch, slow_disk
    ):
        table.entries()
        monkeypatch.setattr(lookup, "read_table", slow_disk)
        replace(path, "eve@example.test OK\n")
        clock.advance(LOOK_INTERVAL_S)

        asking = [gevent.spawn(table.entries) for _ in range(3)]
        gevent.idle()
        assert not any(greenlet.ready() for greenlet in asking)
        slow_disk.goes_on.set()

        with gevent.Timeout(60):
            assert [[("eve", "example.test")]] * 3 == [list(greenlet.get()) for greenlet in asking]

    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["FIFO", "folder"])
    def test_what_is_no_file_is_a_mistake_and_takes_no_thread(self, path, make):
        """To open a FIFO blocks until somebody writes: `mdacore check` and a thread of the edge would never return."""
        path.unlink()
        make(path)

        with gevent.Timeout(60):
            found = gevent.get_hub().threadpool.apply(read_table, (path,))

        assert (f"{path}: this is not a file",) == found.mistakes
