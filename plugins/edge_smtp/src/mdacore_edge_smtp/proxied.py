"""Who is behind a proxy: reads the PROXY protocol's header from a socket, and nothing that comes after it."""

from __future__ import annotations

import gevent
from gevent import socket

from mdacore_edge_smtp.proxy_header import MAX_SIZE_BYTES, BadHeader, ProxyHeader, parse


def read_header(sock: socket.socket, timeout_s: float) -> ProxyHeader:
    """The header that the connection must begin with. Blocks until it is whole.

    Raises:
        BadHeader: there is none, or it is not whole after `timeout_s`.
        OSError: the connection is lost.
    """
    with gevent.Timeout(timeout_s, BadHeader("none in time")):
        data = b""
        while True:
            # What follows the header is the client's, and stays in the socket for whoever serves it.
            seen = sock.recv(MAX_SIZE_BYTES - len(data), socket.MSG_PEEK)
            if not seen:
                raise BadHeader("the connection ended before it was whole")
            header = parse(data + seen)
            data += sock.recv(len(seen) if header is None else header.size_bytes - len(data))
            if header is not None:
                return header
