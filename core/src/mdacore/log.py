"""Structured logging: one JSON object a line (or a readable line on a terminal), buffered, with one id per message.

What is bound in a greenlet (`bind`) is in every line that it writes; a new greenlet starts empty, so whoever spawns one
binds again. Content, credentials and AUTH dialogue are never logged.

One processor makes the whole JSON line: a line is written for each stage of each message, and a chain of structlog's
own processors costs twice as much.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import time
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import IO, Any, Literal, cast

import orjson
import structlog

from mdacore.contracts import EventLog

Style = Literal["auto", "json", "console"]
Level = Literal["debug", "info", "warning", "error"]

MAX_FIELD_CHARS = 1000
_BUFFER_SIZE_BYTES = 65_536
_NOTHING: Mapping[str, object] = MappingProxyType({})
_bound: ContextVar[Mapping[str, object]] = ContextVar("mdacore_log_bound", default=_NOTHING)


def get_log(instance: str = "") -> EventLog:
    """A log with ``instance`` bound. Cheap; nothing is configured before the first line."""
    return cast(EventLog, structlog.get_logger(instance=instance) if instance else structlog.get_logger())


def bind(**fields: object) -> None:
    """Add these fields to every line that this greenlet writes from now on."""
    _bound.set({**_bound.get(), **fields})


def unbind_all() -> None:
    """Forget what was bound in this greenlet, before it turns to other work."""
    _bound.set(_NOTHING)


def configure(*, level: Level = "info", style: Style = "auto", stream: IO[Any] | None = None) -> LogSink:
    """Set up logging for this process; returns the sink, which whoever serves flushes now and then.

    ``auto`` means readable lines on a terminal and JSON elsewhere. `stream` defaults to standard output.
    """
    stream = stream or sys.stdout
    sink = LogSink(stream)
    to_terminal = style == "console" or (style == "auto" and stream.isatty())
    structlog.configure(
        processors=_for_people(stream) if to_terminal else [_JsonLine()],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=sink.logger,
        cache_logger_on_first_use=True,
    )
    return sink


class LogSink:
    """The lines on their way out: collected in memory, written at 64 KB, at `flush`, and at once from warning up."""

    def __init__(self, stream: IO[Any]) -> None:
        raw = getattr(stream, "buffer", stream)
        self._write = raw.write
        self._flush = raw.flush
        self._lines: list[bytes] = []
        self._size_bytes = 0
        self.lost_lines = 0
        self.is_immediate = isinstance(stream, io.TextIOBase) and stream.isatty()

    def logger(self, *_: object) -> LogSink:
        return self

    def debug(self, line: bytes | str) -> None:
        """Take one rendered line."""
        piece = line if isinstance(line, bytes) else line.encode("utf-8", "backslashreplace") + b"\n"
        self._lines.append(piece)
        self._size_bytes += len(piece)
        if self.is_immediate or self._size_bytes >= _BUFFER_SIZE_BYTES:
            self.flush()

    info = msg = debug

    def warning(self, line: bytes | str) -> None:
        """Take one rendered line and write it now: it may be the last."""
        self.debug(line)
        self.flush()

    error = critical = exception = failure = warning

    def flush(self) -> None:
        """Write what was collected. A sink that is closed or full loses lines, never mail."""
        lines, self._lines, self._size_bytes = self._lines, [], 0
        if not lines:
            return
        try:
            self._write(b"".join(lines))
            self._flush()
        except (OSError, ValueError):  # ValueError: the stream is closed
            self.lost_lines += len(lines)


class _JsonLine:
    """The processor that turns an event into a line: what is bound added, long values cut, in the order people read."""

    def __init__(self) -> None:
        self._second = -1
        self._second_text = ""

    def __call__(self, _: object, level: str, event: MutableMapping[str, Any]) -> bytes:
        if event.get("exc_info"):
            event = structlog.processors.format_exc_info(None, level, event)
        line = {"timestamp": self._timestamp(), "level": level, "event": event.pop("event"), **_bound.get(), **event}
        for key, value in line.items():
            if type(value) is str and len(value) > MAX_FIELD_CHARS and key != "exception":
                line[key] = value[: MAX_FIELD_CHARS - 1] + "…"
        return _dumps(line)

    def _timestamp(self) -> str:
        second, fraction = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second, self._second_text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{fraction // 1000:06}Z"


def _dumps(line: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(line, default=repr, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a lone surrogate, an integer past 64 bits: rare, and never a reason to fail
        return json.dumps(line, default=repr).encode() + b"\n"


def _for_people(stream: IO[Any]) -> list[Any]:
    return [
        _with_bound,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.dev.ConsoleRenderer(colors=stream.isatty(), pad_event_to=24),
    ]


def _with_bound(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {**_bound.get(), **event}
