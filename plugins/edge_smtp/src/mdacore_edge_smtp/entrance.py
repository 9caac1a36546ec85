"""Entrance: who gets in: accepts clients, asks proxies for whom they speak, and turns away those that are too many.

Invariants: whoever is served has been admitted, and is released when that ends; who is turned away costs no greenlet
and is told at once, if it can be told in clear.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Sequence
from functools import partial

import attrs
from gevent import socket
from gevent.pool import Group

from mdacore import ComponentFailure, EdgeContext, Reply
from mdacore.runtime import Fence
from mdacore_edge_smtp import events
from mdacore_edge_smtp.acceptor import Acceptor
from mdacore_edge_smtp.admission import TOO_MANY_SESSIONS, Admission, prefix
from mdacore_edge_smtp.config import SmtpConfig
from mdacore_edge_smtp.ips import ip_of
from mdacore_edge_smtp.networks import Networks
from mdacore_edge_smtp.protocol import encode
from mdacore_edge_smtp.proxied import read_header
from mdacore_edge_smtp.proxy_header import BadHeader
from mdacore_edge_smtp.tally import Tally
from mdacore_edge_smtp.transport import PIECE_SIZE_BYTES

SHUTTING_DOWN = Reply(code=421, enhanced="4.3.2", text="Service shutting down, closing connection")

RESERVED_DESCRIPTORS = 64
"""Kept for storages and relays, so that what has been accepted can go on its way; at most a quarter of all."""
LINES_PERIOD_S = 60.0


@attrs.frozen(kw_only=True)
class Door:
    """One listening socket.

    Attributes:
        is_tls: clients begin with a TLS handshake.
        is_proxied: clients begin with a PROXY header.
    """

    listening: socket.socket
    is_tls: bool
    is_proxied: bool


@attrs.frozen(kw_only=True)
class Arrival:
    """A client that was let in.

    Attributes:
        ip: of the client, also where a proxy has brought it; ``""`` for a UNIX socket.
    """

    sock: socket.socket
    ip: str
    is_tls: bool


Serve = Callable[[Arrival], None]


class Entrance:
    """All doors of one edge. `serve` runs in a greenlet of its own for each arrival, and may raise nothing.

    Attributes:
        greenlets: all that serve somebody, or are about to.
    """

    def __init__(self, config: SmtpConfig, context: EdgeContext, *, admission: Admission, serve: Serve) -> None:
        self._config = config
        self._clock = context.clock
        self._log = context.log
        self._fence = Fence(context.instance, context.log)
        self._proxies = Networks(config.proxy_protocol_from)
        self._admission = admission
        self._serve_arrival = serve
        self._acceptors: list[Acceptor] = []
        self._said = Tally(1, LINES_PERIOD_S)
        self._is_full = False
        self._is_closed = False
        self._max_descriptor = 0
        self.greenlets = Group()

    def open(self, doors: Sequence[Door]) -> None:
        """Begin to accept."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._max_descriptor = limit - min(RESERVED_DESCRIPTORS, limit // 4)
        for door in doors:
            acceptor = Acceptor(
                door.listening,
                welcome=partial(self._welcome, door),
                turn_away=partial(self._turn_away_for_want_of_descriptors, door),
                clock=self._clock,
                log=self._log,
            )
            self._acceptors.append(acceptor)

    def close(self) -> None:
        """Accept nobody any more; those who have come and are not served yet are turned away. Idempotent."""
        self._is_closed = True
        for acceptor in self._acceptors:
            acceptor.stop()
        self._acceptors = []

    # --- in an acceptor's greenlet

    def _welcome(self, door: Door, sock: socket.socket, peer: object) -> None:
        try:
            self._fence.call(self._let_in, door, sock, peer)
        except ComponentFailure:
            sock.close()  # a bug, which the fence has logged; it costs this client only

    def _let_in(self, door: Door, sock: socket.socket, peer: object) -> None:
        ip = ip_of(peer)
        if door.is_proxied and ip not in self._proxies:
            self._note_bad_proxy(ip, "not in proxy_protocol_from")
            sock.close()
            return
        refusal = self._refusal(sock, "" if door.is_proxied else ip)
        if refusal is not None:
            turn_away(sock, refusal, is_tls=door.is_tls)
        else:
            self.greenlets.spawn(self._serve_proxied if door.is_proxied else self._serve, door, sock, ip)

    def _turn_away_for_want_of_descriptors(self, door: Door, sock: socket.socket, _: object) -> None:
        turn_away(sock, TOO_MANY_SESSIONS, is_tls=door.is_tls or door.is_proxied)

    def _refusal(self, sock: socket.socket, ip: str) -> Reply | None:
        was_full, self._is_full = self._is_full, self._admission.is_full or sock.fileno() >= self._max_descriptor
        if self._is_full:
            if not was_full:
                self._log.warning(events.EDGE_SESSION_LIMIT_REACHED, max_sessions=self._config.max_sessions)
            return TOO_MANY_SESSIONS
        return self._admit(ip)

    def _admit(self, ip: str) -> Reply | None:
        refusal = self._admission.admit(ip, self._clock.monotonic())
        if refusal is not None and not self._is_told_of(ip):
            self._log.info(events.EDGE_CLIENT_REFUSED, ip=ip, reply=str(refusal))
        return refusal

    # --- in a session's greenlet

    def _serve(self, door: Door, sock: socket.socket, ip: str) -> None:
        """For a client that was admitted."""
        try:
            if self._is_closed:
                turn_away(sock, SHUTTING_DOWN, is_tls=door.is_tls)
            else:
                self._serve_arrival(Arrival(sock=sock, ip=ip, is_tls=door.is_tls))
        finally:
            self._admission.release(ip)
            sock.close()

    def _serve_proxied(self, door: Door, sock: socket.socket, proxy_ip: str) -> None:
        """For a proxy that was admitted as nobody in particular: its client is somebody."""
        with contextlib.closing(sock):
            try:
                ip = self._client_behind(sock, proxy_ip)
            finally:
                self._admission.release("")
            refusal = None if ip is None else self._admit(ip)
            if refusal is not None:
                turn_away(sock, refusal, is_tls=door.is_tls)
            elif ip is not None:
                self._serve(door, sock, ip)

    def _client_behind(self, sock: socket.socket, proxy_ip: str) -> str | None:
        try:
            header = read_header(sock, self._config.proxy_timeout_s)
        except BadHeader as error:
            self._note_bad_proxy(proxy_ip, str(error))
        except OSError as error:
            self._note_bad_proxy(proxy_ip, f"connection lost: {error.strerror}")
        else:
            return header.ip or proxy_ip
        return None

    def _note_bad_proxy(self, ip: str, reason: str) -> None:
        if not self._is_told_of(ip):
            self._log.warning(events.EDGE_PROXY_REFUSED, ip=ip, reason=reason)

    def _is_told_of(self, ip: str) -> bool:
        """Whether the log has a line about this address already; whoever asks writes one otherwise."""
        # A client has as many IPv6 addresses as it likes, and is to fill no disk with them.
        return self._said.count(ip and prefix(ip), self._clock.monotonic())


def turn_away(sock: socket.socket, reply: Reply, *, is_tls: bool) -> None:
    """Say why, unless only TLS is understood, and close. Never blocks, raises nothing."""
    with contextlib.suppress(OSError):  # whoever does not read it loses nothing
        sock.settimeout(0)
        if not is_tls:
            sock.send(encode(reply))
        sock.shutdown(socket.SHUT_WR)
        sock.recv(PIECE_SIZE_BYTES)  # closing with octets unread would reset the connection under our words
    sock.close()
