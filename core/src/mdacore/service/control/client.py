"""ControlClient: an operator's command asks the running service. Blocks its greenlet; needs no patched library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from gevent import socket

from mdacore.service.control.channel import Channel, Unheard
from mdacore.service.control.requests import MAX_ANSWER_BYTES, Malformed, Request, request_facts
from mdacore.service.control.socket_file import address_of

CONNECT_S: Final = 5.0
ANSWER_S: Final = 90.0
"""Longer than the service may work on one request."""


class NotRunning(Exception):
    """No service listens there."""


class RequestFailed(Exception):
    """The service could not, or would not; the text is for the operator."""


class ControlClient:
    """Asks the service whose socket is at `path`, each time over a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, request: Request, octets: Iterable[bytes] = ()) -> Mapping[str, Any]:
        """The answer to one request; `octets` are those that a `Store` announces.

        Raises:
            NotRunning, RequestFailed
            OSError: `octets` could not be read.
        """
        with closing(self._connected()) as connection:
            channel = Channel(connection, line_max_bytes=MAX_ANSWER_BYTES, patience_s=ANSWER_S)
            try:
                channel.send(request_facts(request))
                answer = channel.receive()
                if answer.get("go") is True:
                    channel.send_octets(octets)
                    answer = channel.receive()
            except (Unheard, Malformed) as error:
                raise RequestFailed(f"the service at {self._path} gave no answer: {error}") from error
        result: object = answer.get("ok")
        if not isinstance(result, dict):
            raise RequestFailed(str(answer.get("error", "the service's answer cannot be understood")))
        return result

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(CONNECT_S)
        try:
            with address_of(self._path) as address:
                connection.connect(address)
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
            connection.close()
            raise NotRunning(f"no service listens at {self._path}") from error
        except OSError as error:
            connection.close()
            raise RequestFailed(f"{self._path}: {error.strerror or error}") from error
        return connection
