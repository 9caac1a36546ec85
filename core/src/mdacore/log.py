"""Structured logging: one JSON object a line (or a readable line on a terminal), buffered, with one id per message.

What is bound in a greenlet (`bind`) is in every line that it writes; a new greenlet starts empty, so whoever spawns one
binds again. Content, credentials and AUTH dialogue are never logged.

A line is written for each stage of each message, so JSON has a wrapper class of its own, which goes from the event to
the line in one step; a chain of structlog's processors costs three times as much.
"""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import IO, Any, Literal, cast

import orjson
import structlog

from mdacore.contracts import EventLog

Style = Literal["auto", "json", "console"]
Level = Literal["debug", "info", "warning", "error"]
_LEVELS = ("debug", "info", "warning", "error", "critical")

MAX_FIELD_CHARS = 1000
_BUFFER_SIZE_BYTES = 65_536
_NOTHING: Mapping[str, object] = MappingProxyType({})
_bound: ContextVar[Mapping[str, object]] = ContextVar("mdacore_log_bound", default=_NOTHING)


def get_log(instance: str = "") -> EventLog:
    """A log with ``instance`` bound. Nothing is configured by it; it is settled by its first line after `configure`."""
    return cast(EventLog, _Log(instance))


def bind(**fields: object) -> None:
    """Add these fields to every line that this greenlet writes from now on."""
    _bound.set({**_bound.get(), **fields})


def unbind_all() -> None:
    """Forget what was bound in this greenlet, before it turns to other work."""
    _bound.set(_NOTHING)


class _Log:
    """A log whose methods are found when they are first used, and stay where the configuration keeps loggers."""

    __slots__ = ("_instance", "critical", "debug", "error", "info", "warning")

    def __init__(self, instance: str) -> None:
        self._instance = instance

    def __getattr__(self, name: str) -> object:
        if name not in _LEVELS:
            raise AttributeError(name)
        logger = structlog.get_logger(instance=self._instance) if self._instance else structlog.get_logger()
        if structlog.is_configured() and structlog.get_config()["cache_logger_on_first_use"]:
            settled = logger.bind()
            for level in _LEVELS:
                setattr(self, level, getattr(settled, level))
        return getattr(logger, name)


def configure(*, level: Level = "info", style: Style = "auto", stream: IO[Any] | None = None) -> LogSink:
    """Set up logging for this process; returns the sink, which whoever serves flushes now and then.

    ``auto`` means readable lines on a terminal and JSON elsewhere. `stream` defaults to standard output.
    """
    stream = stream or sys.stdout
    sink = LogSink(stream)
    to_terminal = style == "console" or (style == "auto" and stream.isatty())
    minimum = getattr(logging, level.upper())
    structlog.configure(
        processors=_for_people(stream) if to_terminal else [],
        wrapper_class=structlog.make_filtering_bound_logger(minimum) if to_terminal else _json_logger(minimum),
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
        self._lines = bytearray()  # not a list: lines that live on are spread over the heap, and cost twice as much
        self.lost_lines = 0
        self.is_immediate = isinstance(stream, io.TextIOBase) and stream.isatty()

    def logger(self, *_: object) -> LogSink:
        return self

    def debug(self, line: bytes | str) -> None:
        """Take one rendered line."""
        self._lines += line if isinstance(line, bytes) else line.encode("utf-8", "backslashreplace") + b"\n"
        if len(self._lines) >= _BUFFER_SIZE_BYTES or self.is_immediate:
            self.flush()

    info = msg = debug

    def warning(self, line: bytes | str) -> None:
        """Take one rendered line and write it now: it may be the last."""
        self.debug(line)
        self.flush()

    error = critical = exception = failure = warning

    def flush(self) -> None:
        """Write what was collected. A sink that is closed or full loses lines, never mail."""
        lines, self._lines = self._lines, bytearray()
        if not lines:
            return
        try:
            self._write(lines)
            self._flush()
        except (OSError, ValueError):  # ValueError: the stream is closed
            self.lost_lines += lines.count(b"\n")


def _json_logger(minimum: int) -> type[structlog.BoundLoggerBase]:
    """The wrapper class that writes lines of at least this level (of the standard `logging`)."""
    methods: dict[str, Callable[..., None]] = {
        level: _line_of(level) if getattr(logging, level.upper()) >= minimum else _no_line for level in _LEVELS
    }
    return type("JsonLogger", (structlog.BoundLoggerBase,), methods)


def _line_of(level: str) -> Callable[..., None]:
    def write(self: structlog.BoundLoggerBase, event: str, **fields: object) -> None:
        if fields.get("exc_info"):
            structlog.processors.format_exc_info(None, level, fields)
        known = {"timestamp": datetime.now(UTC), "level": level, "event": event}
        line = {**known, **_bound.get(), **self._context, **fields}
        octets = _dumps(line)
        if len(octets) > MAX_FIELD_CHARS:
            octets = _dumps(_cut(line))
        getattr(self._logger, level)(octets)

    return write


def _no_line(_: structlog.BoundLoggerBase, __: str, **___: object) -> None:
    """Below the level that was asked for."""


def _cut(line: Mapping[str, object]) -> dict[str, object]:
    return {key: _cut_text(value) if key != "exception" else value for key, value in line.items()}


def _cut_text(value: object) -> object:
    is_long = type(value) is str and len(value) > MAX_FIELD_CHARS
    return f"{str(value)[: MAX_FIELD_CHARS - 1]}…" if is_long else value


def _dumps(line: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(line, default=repr, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)
    except TypeError:  # a lone surrogate, an integer past 64 bits: rare, and never a reason to fail
        return json.dumps(line, default=repr).encode() + b"\n"


def _for_people(stream: IO[Any]) -> list[Any]:
    return [
        _with_bound,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(),
            pad_event_to=24,
            exception_formatter=structlog.dev.plain_traceback,  # others show the values of variables: content, secrets
        ),
    ]


def _with_bound(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {**_bound.get(), **event}
