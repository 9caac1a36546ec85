"""SmtpEdge: the component: it binds its sockets, serves whom its entrance lets in, and ends all sessions in order.

Invariants: a session never touches another; a session whose deadline has passed is ended by the next sweep.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gevent
from gevent import socket

from mdacore import ComponentFailure, EdgeContext, Health, Status
from mdacore.log import bind
from mdacore.runtime import Fence
from mdacore_edge_smtp import events, listeners
from mdacore_edge_smtp.certificates import Certificates, pairs_of
from mdacore_edge_smtp.config import SmtpConfig
from mdacore_edge_smtp.connection import Connection
from mdacore_edge_smtp.entrance import SHUTTING_DOWN, Arrival, Door, Entrance
from mdacore_edge_smtp.factory import ConnectionFactory, new_admission
from mdacore_edge_smtp.listeners import Access, parse_mode

MAX_SWEEP_INTERVAL_S = 1.0
STOP_GRACE_S = 1.0
"""How long sessions have for their last words once `stop` was called."""


class SmtpEdge:
    """An edge of kind ``smtp`` or ``lmtp``."""

    def __init__(self, config: SmtpConfig, context: EdgeContext) -> None:
        self._config = config
        self._context = context
        self._certificates = Certificates(pairs_of(config.tls, context), config.tls)
        admission = new_admission(config)
        self._factory = ConnectionFactory(config, context, certificates=self._certificates, admission=admission)
        self._entrance = Entrance(config, context, admission=admission, serve=self._serve)
        self._fence = Fence(context.instance, context.log)
        self._doors: list[Door] = []
        self._helpers: list[gevent.Greenlet[..., Any]] = []
        self._connections: set[Connection] = set()

    @property
    def addresses(self) -> Sequence[str]:
        """What it is bound to, with the ports that the system chose."""
        return [listeners.name_of(door.listening) for door in self._doors]

    def bind(self) -> None:
        """Load the certificates, bind and listen; clients wait until `start`. Keys may need privileges as ports do.

        Raises OSError, or ValueError for a certificate, and then nothing is bound.
        """
        self._certificates.load()
        addresses = [
            listeners.resolve(listeners.parse_address(text), self._context)
            for text in (*self._config.listen, *self._config.listen_tls)
        ]
        access = Access(mode=parse_mode(self._config.socket_mode), group=self._config.socket_group)
        bound = listeners.bind_all(addresses, access)
        clear_count = len(self._config.listen)
        self._doors = [self._door(listening, is_tls=index >= clear_count) for index, listening in enumerate(bound)]

    def start(self) -> None:
        """Accept connections. Nothing here can fail once `bind` has succeeded."""
        self._helpers.append(gevent.spawn(self._sweep))
        if self._config.tls.is_on:
            self._helpers.append(gevent.spawn(self._watch_certificates))
        self._entrance.open(self._doors)
        self._context.log.info(events.EDGE_OPENED, addresses=self.addresses)

    def drain(self, grace_s: float) -> bool:
        """Stop accepting and let every session end, with 421, after the message it may have on its way."""
        self._close_doors()
        for connection in list(self._connections):
            connection.end(SHUTTING_DOWN, reason="shutdown")
        return bool(self._entrance.greenlets.join(timeout=grace_s))

    def stop(self) -> None:
        """Cut short what is left: a message that has not arrived whole gets 421, one being stored gets no reply."""
        self._close_doors()
        for connection in list(self._connections):
            connection.end(SHUTTING_DOWN, reason="shutdown", is_forced=True)
        self._entrance.greenlets.join(timeout=STOP_GRACE_S)
        self._entrance.greenlets.kill(timeout=STOP_GRACE_S)
        gevent.killall(self._helpers)

    def health(self) -> Health:
        """How many sessions there are; degraded while its certificates are not those in the files, or have expired."""
        facts: dict[str, object] = {
            "sessions": len(self._connections),
            "max_sessions": self._config.max_sessions,
            "in_memory_bytes": self._factory.budget.held_bytes,
        }
        if not self._config.tls.is_on:
            return Health(facts=facts)
        facts["certificates_expire_at"] = self._certificates.expires_at
        reason = self._certificates.complaint(self._context.clock.now())
        return Health(status=Status.DEGRADED if reason else Status.OK, reason=reason, facts=facts)

    def _door(self, listening: socket.socket, *, is_tls: bool) -> Door:
        is_proxied = bool(self._config.proxy_protocol_from) and listening.family != socket.AF_UNIX
        return Door(listening=listening, is_tls=is_tls, is_proxied=is_proxied)

    def _close_doors(self) -> None:
        self._entrance.close()
        for door in self._doors:
            listeners.close(door.listening)
        self._doors = []

    def _serve(self, arrival: Arrival) -> None:
        connection = self._factory.new(arrival.sock, arrival.ip, is_tls=arrival.is_tls)
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

    def _watch_certificates(self) -> None:
        while True:
            self._context.clock.sleep(self._config.tls.reload_interval_s)
            if not gevent.get_hub().threadpool.apply(self._certificates.reload):
                continue
            if self._certificates.refused:
                self._context.log.error(events.EDGE_CERTIFICATES_REFUSED, error=self._certificates.refused)
            else:
                self._context.log.info(events.EDGE_CERTIFICATES_RELOADED, expires_at=self._certificates.expires_at)
