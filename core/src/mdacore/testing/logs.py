"""CapturedLog: the log events of a component, or of the whole process, to be looked through by a test.

Events are kept as they were written, values and all, in order; nothing is formatted, cut or printed.
Invariant: what the process logged to before is what it logs to afterwards.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import attrs
import structlog

from mdacore import log as process_log


@attrs.frozen(kw_only=True)
class LoggedEvent:
    """One line.

    Attributes:
        level: ``"debug"``, ``"info"``, ``"warning"``, ``"error"``.
        event: its name, ``"queue.delivered"``.
        fields: the values that the call gave.
        instance: which component's log it was written to; ``""`` = nobody's.
        bound: what was bound in its greenlet by `mdacore.log.bind`: session_id, queue_id.
        exception: what was being handled, where the call said ``exc_info=True``.
    """

    level: str
    event: str
    fields: Mapping[str, object]
    instance: str = ""
    bound: Mapping[str, object] = attrs.field(factory=dict)
    exception: BaseException | None = None

    def __getitem__(self, field: str) -> object:
        """The value of a field, given or bound. Raises KeyError."""
        return self.fields[field] if field in self.fields else self.bound[field]

    def __str__(self) -> str:
        values = {**self.bound, **self.fields}
        return " ".join((self.level, self.event, *(f"{name}={value!r}" for name, value in values.items())))


@attrs.define
class CapturedLog:
    """An EventLog that remembers. It can stand in a context, for the whole process, or both.

    Attributes:
        events: everything that was logged, oldest first; shared with all that `for_instance` made.
    """

    events: list[LoggedEvent] = attrs.field(factory=list)
    instance: str = ""

    def for_instance(self, instance: str) -> CapturedLog:
        """A log with this instance's name on its lines, which stand in the same `events`."""
        return attrs.evolve(self, instance=instance)

    # EventLog

    def debug(self, event: str, **fields: object) -> None:
        self._keep("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._keep("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._keep("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._keep("error", event, fields)

    # to look through

    @property
    def lines(self) -> list[tuple[str, str, dict[str, object]]]:
        """Each line's level, event and fields: short to compare with what is expected."""
        return [(one.level, one.event, dict(one.fields)) for one in self.events]

    def of(self, event: str) -> list[dict[str, object]]:
        """The fields of each line of this event."""
        return [dict(one.fields) for one in self.events if one.event == event]

    def find(self, event: str, **values: object) -> list[LoggedEvent]:
        """The lines of this event in which these values stand, given or bound."""
        return [
            one for one in self.events if one.event == event and values.items() <= {**one.bound, **one.fields}.items()
        ]

    def one(self, event: str, **values: object) -> LoggedEvent:
        """The only such line. Raises AssertionError, with all that was logged, if there is none or another."""
        found = self.find(event, **values)
        if len(found) != 1:
            wanted = " ".join((event, *(f"{name}={value!r}" for name, value in values.items())))
            logged = "".join(f"\n  {line}" for line in self.events) or " nothing"
            raise AssertionError(f"{len(found)} lines instead of one: {wanted}; logged was:{logged}")
        return found[0]

    @contextlib.contextmanager
    def of_process(self) -> Iterator[CapturedLog]:
        """While this lasts, what the process logs (`mdacore.log.get_log`) comes here and nowhere else, debug too.

        Afterwards the log's configuration and this greenlet's bound fields are what they were. A logger that had
        written its first line before, under a configuration that caches loggers, keeps writing where it did.
        """
        before = structlog.get_config() if structlog.is_configured() else None
        bound = _bound()
        structlog.configure(
            processors=[self._process],
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
            logger_factory=structlog.ReturnLoggerFactory(),
            cache_logger_on_first_use=False,
        )
        try:
            yield self
        finally:
            structlog.reset_defaults()
            if before is not None:
                structlog.configure(**before)
            process_log.unbind_all()
            process_log.bind(**bound)

    def _process(self, _: object, level: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        instance, name = event.pop("instance", ""), event.pop("event")
        self.for_instance(instance)._keep(level, name, event)
        raise structlog.DropEvent

    def _keep(self, level: str, event: str, fields: MutableMapping[str, Any]) -> None:
        exception = _exception(fields.pop("exc_info", None))
        self.events.append(
            LoggedEvent(
                level=level,
                event=event,
                fields=dict(fields),
                instance=self.instance,
                bound=_bound(),
                exception=exception,
            )
        )


def _bound() -> dict[str, object]:
    return dict(process_log._bound.get())


def _exception(exc_info: object) -> BaseException | None:
    """What structlog would format: the exception itself, a triple, or the one being handled."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exception() if exc_info else None
