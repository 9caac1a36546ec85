"""Acceptor: takes clients from one listening socket and hands each to whoever welcomes it.

gevent's StreamServer prints a traceback for each failed accept, and knows nothing of running out of descriptors.
Invariant: without descriptors a client is told so instead of being left waiting, and the loop costs next to nothing.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable

import gevent
from gevent import socket

from mdacore import Clock, EventLog
from mdacore_edge_smtp import events

Welcome = Callable[[socket.socket, object], None]

MAX_ACCEPTS_AT_ONCE = 100
"""Then others have a turn."""
MIN_BACK_OFF_S = 0.05
MAX_BACK_OFF_S = 1.0

_NO_DESCRIPTORS = frozenset((errno.EMFILE, errno.ENFILE))


class Acceptor:
    """One greenlet for one listening socket, which stays the caller's.

    Args:
        welcome: gets each socket with its peer's address; does not block, raises nothing.
        turn_away: the same, for a client that comes when there are no descriptors left.
    """

    def __init__(
        self, listening: socket.socket, *, welcome: Welcome, turn_away: Welcome, clock: Clock, log: EventLog
    ) -> None:
        self._listening = listening
        self._welcome = welcome
        self._turn_away = turn_away
        self._clock = clock
        self._log = log
        self._back_off_s = 0.0
        self._reserve = _spare_descriptor()
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """Accept nobody any more. Idempotent."""
        self._greenlet.kill()
        self._spend_reserve()

    def _run(self) -> None:
        count = 0
        while True:
            try:
                sock, peer = self._listening.accept()
            except OSError as error:
                self._cope_with(error)
                continue
            self._back_off_s = 0.0
            self._welcome(sock, peer)
            count += 1
            if count % MAX_ACCEPTS_AT_ONCE == 0:
                gevent.sleep(0)

    def _cope_with(self, error: OSError) -> None:
        if error.errno in _NO_DESCRIPTORS:
            self._turn_one_away()
        if not self._back_off_s:
            self._log.warning(events.EDGE_ACCEPT_FAILED, error=error.strerror)
        self._back_off_s = min(MAX_BACK_OFF_S, max(MIN_BACK_OFF_S, 2 * self._back_off_s))
        self._clock.sleep(self._back_off_s)

    def _turn_one_away(self) -> None:
        """With the descriptor that was kept for this: whoever waits longest is told, and need not wait any longer."""
        self._spend_reserve()
        self._listening.settimeout(0)  # there may be nobody: without a descriptor the system does not even look
        try:
            self._turn_away(*self._listening.accept())
        except OSError:
            return  # somebody else has taken the descriptor
        finally:
            self._listening.settimeout(None)
            self._reserve = _spare_descriptor()

    def _spend_reserve(self) -> None:
        if self._reserve is not None:
            self._reserve.close()
            self._reserve = None


def _spare_descriptor() -> io.FileIO | None:
    # A file object, since gevent's os.close() leaves the descriptor open until the event loop has turned.
    try:
        return io.FileIO(os.devnull)
    except OSError:
        return None
