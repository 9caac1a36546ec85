"""SmtpEdge: the component: it listens, gives each connection a greenlet, and ends them all in order.

Invariants: a session never touches another; there are never more than `max_sessions`; a session whose deadline has
passed is ended by the next sweep.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import gevent
from gevent import socket
from gevent.pool import Group
from gevent.server import StreamServer

from mdacore import ComponentFailure, EdgeContext, Health, Reply
from mdacore.log import bind
from mdacore.runtime import Fence
from mdacore_edge_smtp import events, listeners
from mdacore_edge_smtp.config import SmtpConfig
from mdacore_edge_smtp.connection import Connection
from mdacore_edge_smtp.factory import ConnectionFactory
from mdacore_edge_smtp.protocol import encode

P = ParamSpec("P")

MAX_SWEEP_INTERVAL_S = 1.0
STOP_GRACE_S = 1.0
"""How long sessions have for their last words once `stop` was called."""

SHUTTING_DOWN = Reply(code=421, enhanced="4.3.2", text="Service shutting down, closing connection")
TOO_MANY_SESSIONS = Reply(code=421, enhanced="4.3.2", text="Too many connections, try again later")


class SmtpEdge:
    """An edge of kind ``smtp``."""

    def __init__(self, config: SmtpConfig, context: EdgeContext) -> None:
        self._config = config
        self._context = context
        self._listen = [listeners.resolve(listeners.parse_address(text), context) for text in config.listen]
        self._factory = ConnectionFactory(config, context)
        self._fence = Fence(context.instance, context.log)
        self._sockets: list[socket.socket] = []
        self._servers: list[StreamServer] = []
        self._greenlets = Group()
        self._sweeper: gevent.Greenlet[..., Any] | None = None
        self._connections: set[Connection] = set()
        self._is_draining = False
        self._is_full = False

    @property
    def addresses(self) -> Sequence[str]:
        """What it is bound to, with the ports that the system chose."""
        return [listeners.name_of(listening) for listening in self._sockets]

    def bind(self) -> None:
        """Bind and listen; clients wait until `start`. Raises OSError, and then nothing is bound."""
        self._sockets = listeners.bind_all(self._listen)

    def start(self) -> None:
        """Accept connections. Nothing here can fail once `bind` has succeeded."""
        self._sweeper = gevent.spawn(self._sweep)
        for listening in self._sockets:
            server = StreamServer(listening, self._serve, spawn=self._spawn)
            server.start()
            self._servers.append(server)
        self._context.log.info(events.EDGE_OPENED, addresses=self.addresses)

    def drain(self, grace_s: float) -> bool:
        """Stop accepting and let every session end, with 421, after the message it may have on its way."""
        self._is_draining = True
        self._close_listeners()
        for connection in list(self._connections):
            connection.end(SHUTTING_DOWN, reason="shutdown")
        return bool(self._greenlets.join(timeout=grace_s))

    def stop(self) -> None:
        """Cut short what is left: a message that has not arrived whole gets 421, one being stored gets no reply."""
        self._is_draining = True
        self._close_listeners()
        for connection in list(self._connections):
            connection.end(SHUTTING_DOWN, reason="shutdown", is_forced=True)
        self._greenlets.join(timeout=STOP_GRACE_S)
        self._greenlets.kill(timeout=STOP_GRACE_S)
        if self._sweeper is not None:
            self._sweeper.kill()

    def health(self) -> Health:
        """Always well; how many sessions there are."""
        return Health(facts={"sessions": len(self._connections), "max_sessions": self._config.max_sessions})

    def _close_listeners(self) -> None:
        for server in self._servers:
            server.stop_accepting()
        for listening in self._sockets:
            listeners.close(listening)
        self._servers, self._sockets = [], []

    def _spawn(self, function: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> gevent.Greenlet[P, object]:
        return self._greenlets.spawn(function, *args, **kwargs)

    def _serve(self, sock: socket.socket, peer: object) -> None:
        if self._is_draining:
            _turn_away(sock, SHUTTING_DOWN)
        elif self._has_room():
            self._serve_session(sock, peer)
        else:
            _turn_away(sock, TOO_MANY_SESSIONS)

    def _has_room(self) -> bool:
        was_full, self._is_full = self._is_full, len(self._connections) >= self._config.max_sessions
        if self._is_full and not was_full:
            self._context.log.warning(events.EDGE_SESSION_LIMIT_REACHED, max_sessions=self._config.max_sessions)
        return not self._is_full

    def _serve_session(self, sock: socket.socket, peer: object) -> None:
        connection = self._factory.new(sock, peer)
        bind(session_id=connection.session_id)
        self._connections.add(connection)
        try:
            self._fence.call(connection.run)
        except ComponentFailure:
            pass  # a bug, which the fence has logged with its traceback; it costs this session only
        finally:
            self._connections.discard(connection)

    def _sweep(self) -> None:
        interval_s = min(MAX_SWEEP_INTERVAL_S, self._factory.timeouts.shortest_s / 4)
        while True:
            self._context.clock.sleep(interval_s)
            now = self._context.clock.monotonic()
            for connection in list(self._connections):
                connection.end_if_overdue(now)


def _turn_away(sock: socket.socket, reply: Reply) -> None:
    with contextlib.suppress(OSError):  # whoever does not read it loses nothing
        sock.sendall(encode(reply))
