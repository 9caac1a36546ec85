"""The message as a program reads it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import gevent
import pytest

from mdacore import Content, FileBody, MemoryBody
from mdacore_relay_lda.message import Messages, loop_key, with_fields

MEMORY_MAX_BYTES = 1000
BODY = b"Subject: x\r\n\r\n" + b"line\r\n" * 20_000


def read(fd):
    """All that is there from the descriptor's position on; closes it."""
    with os.fdopen(fd, "rb") as file:
        return file.read()


def open_files_below(folder):
    """The files there that this process has open, by what the system calls them."""
    paths = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own descriptor is closed by now
            paths.append(str(path.readlink()))
    return [path for path in paths if path.startswith(f"{folder}/")]


def path_of(fd):
    """What the system calls it."""
    return str(Path(f"/proc/self/fd/{fd}").readlink())


@pytest.fixture
def make_messages(tmp_path, started):
    def make(*, has_lf=True):
        return started(Messages(tmp_path / "tmp", memory_max_bytes=MEMORY_MAX_BYTES, threads=2, has_lf=has_lf))

    return make


@pytest.fixture
def messages(make_messages):
    return make_messages()


@pytest.fixture
def large_file(tmp_path):
    path = tmp_path / "body"
    path.write_bytes(BODY)
    return FileBody(path, len(BODY))


class TestOpen:
    @pytest.mark.parametrize(
        "text", [b"", b"\r\n", b"no header", b"A: b\r\n\r\nx\r\n", b"A: b\r\n\r\nbare \r cr\r\n\xff\0"]
    )
    def test_lines_end_in_lf_and_nothing_else_is_changed(self, messages, text):
        assert text.replace(b"\r\n", b"\n") == read(messages.open(Content(MemoryBody(text))))

    def test_lines_may_end_in_crlf(self, make_messages):
        assert BODY == read(make_messages(has_lf=False).open(Content(MemoryBody(BODY))))

    def test_a_small_message_lies_in_memory(self, messages):
        fd = messages.open(Content(MemoryBody(b"x")))

        assert path_of(fd).startswith("/memfd:")
        os.close(fd)

    def test_a_large_message_is_a_file_without_a_name(self, messages, tmp_path, large_file):
        fd = messages.open(Content(large_file))

        assert (str(tmp_path / "tmp"), []) == (
            path_of(fd).rpartition("/")[0],
            list((tmp_path / "tmp").iterdir()),
        )
        assert BODY.replace(b"\r\n", b"\n") == read(fd)

    def test_a_body_that_is_not_whole_is_an_error(self, messages, large_file):
        large_file.path.write_bytes(BODY[:-1])

        with pytest.raises(OSError, match="lacks 1 of"):
            messages.open(Content(large_file))

    def test_a_folder_that_is_gone_is_an_error(self, messages, tmp_path, large_file):
        (tmp_path / "tmp").rmdir()

        with pytest.raises(FileNotFoundError):
            messages.open(Content(large_file))

    def test_nothing_stays_open_when_whoever_waits_is_killed(self, messages, large_file, tmp_path, wait_until):
        """The threads finish what was begun; what comes after it shows that they have."""
        waiting = [gevent.spawn(messages.open, Content(large_file)) for _ in range(8)]
        gevent.idle()

        gevent.killall(waiting)

        for fd in [job.value for job in waiting if isinstance(job.value, int)]:  # some may have been quicker
            os.close(fd)
        for _ in range(3):
            os.close(messages.open(Content(large_file)))
        wait_until(lambda: open_files_below(tmp_path) == [], "that all are closed")

    def test_the_folder_is_for_this_user_only(self, messages, tmp_path):
        assert 0o700 == (tmp_path / "tmp").stat().st_mode & 0o777


class TestFields:
    def test_fields_of_final_delivery_stand_on_top(self):
        content = with_fields(
            Content(MemoryBody(b"Subject: x\r\n\r\n")), return_path="alice@example.org", delivered_to="bob@d"
        )

        assert b"Return-Path: <alice@example.org>\r\nDelivered-To: bob@d\r\nSubject: x\r\n\r\n" == b"".join(
            content.chunks()
        )

    def test_the_null_sender_has_a_field_too(self):
        content = with_fields(Content(MemoryBody(b"A: b\r\n\r\n")), return_path="", delivered_to=None)

        assert b"Return-Path: <>\r\nA: b\r\n\r\n" == b"".join(content.chunks())

    def test_either_may_be_left_out(self):
        content = Content(MemoryBody(b"A: b\r\n\r\n"))

        assert content == with_fields(content, return_path=None, delivered_to=None)

    def test_case_032_quoted_local_parts_stand_as_they_are(self):
        address = r'"a\"b> c"@d'

        content = with_fields(Content(MemoryBody(b"")), return_path=address, delivered_to=address)

        assert [f" {address}\r\n".encode()] == content.fields(b"Delivered-To")
        assert [f" <{address}>\r\n".encode()] == content.fields(b"Return-Path")


class TestLoops:
    @pytest.mark.parametrize("value", ["bob@d", "BOB@D", "<bob@d>", " bob@d", "bob@\r\n d", "bob@d."])
    def test_case_052_any_spelling_of_a_recipient_is_found(self, messages, value):
        content = Content(MemoryBody(f"A: b\r\ndelivered-TO: {value}\r\n\r\n".encode()))

        assert {loop_key("Bob@D")} == messages.delivered_to(content)

    def test_all_fields_count(self, messages):
        content = Content(MemoryBody(b"Delivered-To: a@d\r\nDelivered-To: b@d\r\n\r\nDelivered-To: c@d\r\n"))

        assert {"a@d", "b@d"} == messages.delivered_to(content)

    def test_the_header_of_a_large_message_is_read_too(self, messages, large_file):
        large_file.path.write_bytes(b"Delivered-To: a@d\r\n\r\n" + BODY[21:])

        assert {"a@d"} == messages.delivered_to(Content(large_file))

    def test_octets_that_are_no_text_are_no_reason_to_fail(self, messages):
        assert 1 == len(messages.delivered_to(Content(MemoryBody(b"Delivered-To: \xff@d\r\n\r\n"))))
