"""serve: what `mdacore run` does once its configuration is known to be right: run in the foreground until a signal."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event

from mdacore import events, log
from mdacore.runtime import Watchdog
from mdacore.service.lifecycle import Service

if TYPE_CHECKING:
    from mdacore.assembly import Assembly
    from mdacore.assembly.config import ServiceKeys

LOG_FLUSH_S = 0.2
"""How long a log line may wait in memory; warnings and errors do not."""


def serve(assembly: Assembly) -> int:
    """Start the assembly, serve until SIGTERM or SIGINT, drain and stop; returns the exit status 0.

    A second signal skips what is left of the grace time. SIGHUP asks to read the configuration again, which takes a
    restart, and is answered in the log; on a terminal it says that the terminal is gone, and stops as SIGTERM. Blocks.

    Raises:
        StartError: it could not start; nothing is left running.
    """
    settings = assembly.plan.settings
    sink = log.configure(level=settings.log.level, style=settings.log.style)
    os.umask(0o077)
    _raise_descriptor_limit()
    flusher = gevent.spawn(_flush_often, sink)
    try:
        _run(Service(assembly), settings.service)
    finally:
        flusher.kill()
        sink.flush()
    return 0


def _run(service: Service, keys: ServiceKeys) -> None:
    asked_to_stop, may_stop = Event(), Event()

    def on_signal() -> None:
        (may_stop if asked_to_stop.is_set() else asked_to_stop).set()

    watchers = [gevent.signal_handler(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)]
    # not `on_signal`: a terminal that is closed says so twice, by its shell and by the kernel
    on_hangup = asked_to_stop.set if sys.stdout.isatty() else _decline_reload
    watchers.append(gevent.signal_handler(signal.SIGHUP, on_hangup))
    try:
        service.start()
        _settle_heap()
        with _watched(keys.blocked_s):
            asked_to_stop.wait()
            drain = gevent.spawn(service.drain, keys.grace_s)
            drain.rawlink(lambda _: may_stop.set())
            may_stop.wait()
            drain.kill()
    finally:
        service.stop()
        for watcher in watchers:
            watcher.cancel()


def _decline_reload() -> None:
    cure = "restart the service; certificates and lists are read again by themselves"
    log.get_log().warning(events.SERVICE_RELOAD_DECLINED, cure=cure)


@contextmanager
def _watched(blocked_s: float) -> Iterator[None]:
    """What blocks the hub is reported: from the end of the start on, since a start may block."""
    watchdog = Watchdog(log.get_log(), blocked_s=blocked_s) if blocked_s else None
    if watchdog is not None:
        watchdog.start()
    try:
        yield
    finally:
        if watchdog is not None:
            watchdog.stop()


def _flush_often(sink: log.LogSink) -> None:
    while True:
        gevent.sleep(LOG_FLUSH_S)
        sink.flush()


def _settle_heap() -> None:
    """What there is after the start stays: the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


def _raise_descriptor_limit() -> None:
    """As many descriptors as the system allows: each session is one, and storages and relays need theirs."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
