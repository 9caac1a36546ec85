"""ControlSocket: listens for operators' commands while the service runs, and gives each to the desk.

Only root and the service's own user are heard. Invariant: a peer costs at most one line of memory and one greenlet for
a limited time; there are never more than a few, and what one does concerns no other and no mail.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Final, Protocol

from gevent import socket
from gevent.pool import Pool
from gevent.server import StreamServer

from mdacore import events
from mdacore.contracts import EventLog, Health
from mdacore.service.control.channel import Channel, Peer, Unheard, peer_of
from mdacore.service.control.requests import MAX_REQUEST_BYTES, Malformed, Request, parse_request
from mdacore.service.control.socket_file import SocketFile
from mdacore.service.part import Part
from mdacore.words import MdaError, printable

CONNECTIONS_MAX: Final = 16
"""More wait until one of these is done."""
PATIENCE_S: Final = 5.0
"""How long a request may take to arrive, and an answer to be read: the commands are on this machine."""


class Desk(Protocol):
    """Does what is asked. Raises MdaError and ValueError with a text for the operator, and what a Channel raises."""

    def serve(self, request: Request, peer: Peer, channel: Channel) -> dict[str, object]:
        """The answer."""


class ControlSocket(Part):
    """From `start` to `stop` there is a socket at `path`, mode 0600."""

    def __init__(self, path: Path, desk: Desk, log: EventLog, *, patience_s: float = PATIENCE_S) -> None:
        self._file = SocketFile(path)
        self._path = path
        self._desk = desk
        self._log = log
        self._patience_s = patience_s
        self._pool = Pool(CONNECTIONS_MAX)
        self._server: StreamServer | None = None

    def start(self) -> None:
        """Listen. Raises OSError if a live process does, or if something else is there."""
        listener = self._file.listen()
        self._server = StreamServer(listener, self._serve, spawn=self._pool)
        self._server.start()

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.stop(timeout=0)
        self._pool.kill(block=False)
        try:
            self._file.remove()
        except OSError as error:
            self._log.warning(events.SERVICE_STOP_FAILED, component="service.control", error=str(error))

    def health(self) -> Health:
        return Health(facts={"path": str(self._path), "connections": len(self._pool)})

    def _serve(self, connection: socket.socket, _address: object) -> None:
        with closing(connection):
            try:
                peer = peer_of(connection)
            except OSError:
                return  # gone before anybody could ask who it was
            if peer.uid not in (0, os.geteuid()):
                self._log.warning(events.SERVICE_CONTROL_REFUSED, uid=peer.uid, pid=peer.pid, reason="another user")
                return
            channel = Channel(connection, line_max_bytes=MAX_REQUEST_BYTES, patience_s=self._patience_s)
            try:
                self._answer(channel, peer)
            except Unheard as error:
                self._log.debug(events.SERVICE_CONTROL_REFUSED, uid=peer.uid, pid=peer.pid, reason=str(error))

    def _answer(self, channel: Channel, peer: Peer) -> None:
        try:
            answer: dict[str, object] = {"ok": self._desk.serve(parse_request(channel.line()), peer, channel)}
        except Malformed as error:
            self._log.info(events.SERVICE_CONTROL_REFUSED, uid=peer.uid, pid=peer.pid, reason=str(error))
            answer = {"error": f"the service does not understand: {error}"}
        except (MdaError, ValueError, OSError) as error:
            answer = {"error": printable(str(error))}
        channel.send(answer)
