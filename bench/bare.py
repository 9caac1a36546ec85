"""The barest SMTP responder on gevent: it gives the replies and throws the messages away.

It is the yardstick for whatever is built on gevent: no parsing beyond the verb, no limits worth the name, no log and
nothing stored, so that its rate is what the event loop and the sockets alone allow. Never expose it to a network.
"""

from __future__ import annotations

import sys

from gevent import socket
from gevent.server import StreamServer

OK = b"250 2.0.0 Ok\r\n"
REPLIES = {b"EHLO": b"250-bare.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n", b"DATA": b"354 Go on\r\n"}
END = b"\r\n.\r\n"
READ_BYTES = 65_536


def serve(client: socket.socket, _address: object) -> None:
    """One connection, from the greeting to its end."""
    with client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            client.sendall(b"220 bare.test ESMTP\r\n")
            converse(client)
        except OSError:
            pass  # the client went away, and there is nothing to clean up


def converse(client: socket.socket) -> None:
    """Answer whatever is complete in each piece that arrives, in one write."""
    rest = b""
    in_content = False
    while piece := client.recv(READ_BYTES):
        rest += piece
        answers = b""
        while True:
            end = rest.find(END if in_content else b"\r\n")
            if end < 0:
                break
            if in_content:
                rest, in_content, answer = rest[end + len(END) :], False, OK
            else:
                verb, rest = rest[:4].upper(), rest[end + 2 :]
                if verb == b"QUIT":
                    client.sendall(answers + b"221 2.0.0 Bye\r\n")
                    return
                answer, in_content = REPLIES.get(verb, OK), verb == b"DATA"
                if in_content:
                    rest = b"\r\n" + rest  # so that the end is found in an empty message, too
            answers += answer
        rest = rest[-len(END) :] if in_content else rest[-READ_BYTES:]
        if answers:
            client.sendall(answers)


if __name__ == "__main__":
    StreamServer(("127.0.0.1", int(sys.argv[1])), serve, backlog=1024).serve_forever()
