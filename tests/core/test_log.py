"""Log lines: one JSON object each, whatever is in the fields; buffered, but not from warning up."""

from __future__ import annotations

import io
import json

import pytest
import structlog

from mdacore import log


class Stream(io.BytesIO):
    """A byte stream that is no terminal and remembers nothing but what was written."""

    def isatty(self) -> bool:
        return False


@pytest.fixture
def stream():
    yield Stream()
    structlog.reset_defaults()
    log.unbind_all()


def lines(stream):
    return [json.loads(line) for line in stream.getvalue().splitlines()]


class TestJson:
    @pytest.mark.parametrize("text", ["a\r\nb", "\x1b[31mred", "\x00", "\ud800", "x" * 1_000_000])
    def test_whatever_a_field_holds_it_is_one_line_of_json(self, stream, text):
        """Case 59."""
        sink = log.configure(stream=stream)

        log.get_log().info("queue.accepted", sender=text)
        sink.flush()

        (line,) = lines(stream)
        assert "queue.accepted" == line["event"]
        assert len(line["sender"]) <= log.MAX_FIELD_CHARS

    def test_what_is_bound_is_in_every_line(self, stream):
        sink = log.configure(stream=stream)
        log.bind(session_id="s1")

        log.get_log("relays.local").info("queue.delivered")
        sink.flush()

        assert [("s1", "relays.local", "info")] == [(x["session_id"], x["instance"], x["level"]) for x in lines(stream)]

    def test_an_exception_is_in_the_line_of_its_event(self, stream):
        log.configure(stream=stream)
        try:
            int("the cause")
        except ValueError:
            log.get_log().error("plugin.failed", exc_info=True)

        (line,) = lines(stream)
        assert "ValueError: invalid literal" in line["exception"]


class TestForPeople:
    def test_a_traceback_shows_no_values_of_variables(self, stream):
        """They may be somebody's mail; structlog shows them where the library rich is installed."""
        log.configure(stream=stream, style="console")
        password = "sesame-open"  # noqa: S105
        try:
            int(password[:0])
        except ValueError:
            log.get_log().error("plugin.failed", exc_info=True)

        assert b"ValueError" in stream.getvalue()
        assert b"sesame-open" not in stream.getvalue().replace(b'password = "sesame-open"', b"")

    def test_a_field_may_hold_a_list(self, stream):
        log.configure(stream=stream, style="console")

        log.get_log().warning("service.blocked", frames=["a.b:1", "c.d:2"])

        assert b"a.b:1" in stream.getvalue()


class TestBuffer:
    def test_info_waits_for_a_flush_and_a_warning_does_not(self, stream):
        log.configure(stream=stream)
        log.get_log().info("queue.accepted")
        assert b"" == stream.getvalue()

        log.get_log().warning("queue.claim_lost")

        assert ["queue.accepted", "queue.claim_lost"] == [line["event"] for line in lines(stream)]

    def test_a_full_buffer_is_written(self, stream):
        log.configure(stream=stream)

        for _ in range(1000):
            log.get_log().info("queue.accepted", sender="x" * 100)

        assert len(stream.getvalue()) > 50_000

    def test_debug_is_off_by_default(self, stream):
        sink = log.configure(stream=stream)
        log.get_log().debug("queue.accepted")
        sink.flush()

        assert b"" == stream.getvalue()

    def test_a_sink_that_cannot_write_loses_lines_and_counts_them(self):
        class Full(Stream):
            def write(self, _):
                raise OSError(28, "No space left on device")

        sink = log.configure(stream=Full())

        log.get_log().error("plugin.failed")

        assert 1 == sink.lost_lines
        structlog.reset_defaults()
