"""Captured log events: of one component and of the whole process."""

from __future__ import annotations

import io
import json

import gevent
import pytest
import structlog

from mdacore import log as process_log
from mdacore.testing import CapturedLog


@pytest.fixture
def log():
    return CapturedLog()


class TestComponentsLog:
    def test_lines_are_kept_with_their_values_as_they_are(self, log):
        value = object()

        log.debug("a.b")
        log.info("a.c", it=value)
        log.warning("a.c", it=2)
        log.error("a.d")

        assert [("debug", "a.b", {}), ("info", "a.c", {"it": value}), ("warning", "a.c", {"it": 2})] == log.lines[:3]
        assert [{"it": value}, {"it": 2}] == log.of("a.c")

    def test_an_instances_lines_stand_among_the_others_with_its_name(self, log):
        log.for_instance("relays.a").info("a.b")
        log.for_instance("relays.b").info("a.b")

        assert ["relays.a", "relays.b"] == [one.instance for one in log.events]

    def test_what_is_bound_in_the_greenlet_is_found_too(self, log):
        def work(number):
            process_log.bind(queue_id=f"Q{number}")
            log.info("a.b", size=number)

        gevent.joinall([gevent.spawn(work, 1), gevent.spawn(work, 2)], raise_error=True)

        found = log.one("a.b", queue_id="Q2")
        assert ("Q2", 2) == (found["queue_id"], found["size"])
        assert {"size": 2} == found.fields
        assert [] == log.find("a.b", queue_id="Q1", size=2)

    def test_the_exception_being_handled_is_kept(self, log):
        try:
            int("x")
        except ValueError as error:
            cause = error
            log.error("a.b", why="x", exc_info=True)

        (line,) = log.events
        assert (cause, {"why": "x"}) == (line.exception, line.fields)

    @pytest.mark.parametrize("count", [0, 2])
    def test_one_line_too_few_or_too_many_fails_and_tells_what_was_logged(self, log, count):
        log.info("a.other", size=7)
        for _ in range(count):
            log.info("a.b", rcpt="x")

        with pytest.raises(
            AssertionError, match=r"(?s)lines instead of one: a.b rcpt='x'.*info a.other size=7"
        ) as caught:
            log.one("a.b", rcpt="x")

        assert str(caught.value).startswith(f"{count} lines")


class TestProcessLog:
    def test_what_any_part_of_the_process_logs_is_captured_as_a_components_is(self, log):
        early = process_log.get_log("relays.local")

        with log.of_process():
            early.info("a.b", size=1)
            process_log.get_log().debug("a.c")

        assert [("relays.local", "a.b"), ("", "a.c")] == [(one.instance, one.event) for one in log.events]
        assert {"size": 1} == log.events[0].fields

    def test_exceptions_and_bound_fields_are_kept(self, log):
        with log.of_process():
            process_log.bind(session_id="s1")
            try:
                int("x")
            except ValueError:
                process_log.get_log().error("a.b", exc_info=True)

        line = log.one("a.b", session_id="s1")
        assert isinstance(line.exception, ValueError)

    def test_afterwards_the_process_logs_as_before(self, log):
        stream = io.BytesIO()
        try:
            sink = process_log.configure(stream=stream, style="json")
            process_log.bind(session_id="outer")
            with log.of_process():
                logger = process_log.get_log()
                process_log.bind(session_id="inner")
                logger.info("a.inside")
            logger.info("a.outside")
            logger.debug("a.hidden")
            sink.flush()
        finally:
            structlog.reset_defaults()
            process_log.unbind_all()

        (line,) = map(json.loads, stream.getvalue().splitlines())
        assert ("a.outside", "outer") == (line["event"], line["session_id"])
        assert ["a.inside"] == [one.event for one in log.events]

    def test_a_process_that_had_not_configured_its_log_has_not_afterwards(self, log):
        assert not structlog.is_configured()

        with log.of_process():
            assert structlog.is_configured()

        assert not structlog.is_configured()

    def test_an_error_in_the_block_restores_it_too(self, log):
        with pytest.raises(ZeroDivisionError), log.of_process():
            raise ZeroDivisionError

        assert not structlog.is_configured()
