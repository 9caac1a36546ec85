"""A body on its way: in memory, past the threshold in a file, and gone after discard."""

from __future__ import annotations

import errno
import stat

import gevent
import pytest

from mdacore import FileBody, MemoryBody
from mdacore_edge_smtp.incoming import HEAD_SIZE_BYTES, IncomingBody
from mdacore_edge_smtp.memory import MemoryBudget

THRESHOLD = 1000


def files(folder):
    return list(folder.iterdir())


class TestInMemory:
    def test_a_small_body_stays_in_memory(self, tmp_path):
        body = IncomingBody(tmp_path, THRESHOLD)
        body.write(b"a" * 600)
        body.write(b"b" * 400)

        assert MemoryBody(b"a" * 600 + b"b" * 400) == body.finish()
        assert [] == files(tmp_path)

    def test_without_a_folder_everything_does(self):
        body = IncomingBody(None, THRESHOLD)
        body.write(b"a" * 5000)

        assert MemoryBody(b"a" * 5000) == body.finish()

    def test_an_empty_body_is_a_body(self, tmp_path):
        assert MemoryBody(b"") == IncomingBody(tmp_path, THRESHOLD).finish()

    def test_its_head_is_all_of_it(self, tmp_path):
        body = IncomingBody(tmp_path, THRESHOLD)
        body.write(b"a: b\r\n")
        body.finish()

        assert b"a: b\r\n" == body.head


class TestInAFile:
    def test_a_body_over_the_threshold_is_in_a_file_from_the_start(self, tmp_path):
        body = IncomingBody(tmp_path, THRESHOLD)
        pieces = [bytes([number]) * 400 for number in range(10)]
        for piece in pieces:
            body.write(piece)

        finished = body.finish()

        assert isinstance(finished, FileBody)
        assert b"".join(pieces) == finished.path.read_bytes()
        assert 4000 == finished.size_bytes
        assert pieces[0] == body.head[:400]
        assert [finished.path] == files(tmp_path)

    def test_the_file_is_readable_by_the_service_alone(self, tmp_path):
        body = IncomingBody(tmp_path, THRESHOLD)
        body.write(b"a" * 1001)

        (path,) = files(tmp_path)
        assert 0o600 == stat.S_IMODE(path.stat().st_mode)

    def test_no_two_have_one_name(self, tmp_path):
        bodies = [IncomingBody(tmp_path, THRESHOLD) for _ in range(5)]
        for body in bodies:
            body.write(b"a" * 1001)

        assert 5 == len(files(tmp_path))

    def test_memory_holds_no_more_than_the_threshold_and_a_piece(self, tmp_path):
        body = IncomingBody(tmp_path, THRESHOLD)
        for _ in range(100):
            body.write(b"a" * 999)
            assert body._held_bytes <= THRESHOLD + 999
        assert len(body.head) <= HEAD_SIZE_BYTES

    def test_discard_removes_it_also_twice_and_also_when_it_is_gone(self, tmp_path):
        body = IncomingBody(tmp_path, THRESHOLD)
        body.write(b"a" * 1001)
        body.finish()

        body.discard()
        body.discard()

        assert [] == files(tmp_path)

    def test_a_writer_that_was_interrupted_leaves_nothing_either(self, tmp_path):
        """The thread may write on after its greenlet is gone; the file is not made again."""
        body = IncomingBody(tmp_path, THRESHOLD)
        writer = gevent.spawn(body.write, b"a" * 50_000_000)
        gevent.idle()
        writer.kill()

        body.discard()

        gevent.get_hub().threadpool.join()
        assert [] == files(tmp_path)


class TestBudget:
    def test_what_exceeds_it_goes_to_a_file_below_the_threshold_too(self, tmp_path):
        budget = MemoryBudget(1000)
        first, second = (IncomingBody(tmp_path, 10**6, budget) for _ in range(2))

        first.write(b"a" * 900)
        second.write(b"b" * 900)

        assert 900 == budget.held_bytes
        assert 1 == len(files(tmp_path))
        second.discard()
        first.discard()

    def test_without_a_folder_it_is_given_up_and_the_others_go_on(self):
        budget = MemoryBudget(1000)
        first, second = (IncomingBody(None, 100, budget) for _ in range(2))
        first.write(b"a" * 900)

        second.write(b"b" * 900)
        second.write(b"b" * 900)

        with pytest.raises(OSError) as raised:
            second.finish()
        assert errno.ENOSPC == raised.value.errno
        assert b"a" * 900 == b"".join(first.finish().chunks())
        assert 900 == budget.held_bytes

    def test_all_is_given_back(self, tmp_path):
        budget = MemoryBudget(1000)
        for path, size_bytes in ((None, 100), (tmp_path, 100), (tmp_path, 5000), (None, 5000)):
            body = IncomingBody(path, 500, budget)
            body.write(b"x" * size_bytes)
            body.write(b"x" * size_bytes)
            body.discard()
            body.discard()

        assert 0 == budget.held_bytes


class TestDiskFailure:
    def test_a_folder_that_is_gone_is_told_at_the_end(self, tmp_path):
        body = IncomingBody(tmp_path / "missing", THRESHOLD)
        body.write(b"a" * 1001)
        body.write(b"a" * 1001)

        with pytest.raises(FileNotFoundError):
            body.finish()

    def test_a_failure_in_the_middle_is_told_at_the_end_and_leaves_nothing(self, tmp_path, capfd):
        body = IncomingBody(tmp_path, THRESHOLD)
        body.write(b"a" * 1001)
        (path,) = files(tmp_path)
        path.unlink()
        body.write(b"a" * 1001)
        body.write(b"a" * 1001)

        with pytest.raises(OSError, match="No such file") as raised:
            body.finish()

        assert errno.ENOENT == raised.value.errno
        body.discard()
        assert [] == files(tmp_path)
        assert "" == capfd.readouterr().err
