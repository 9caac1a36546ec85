"""The replies that the protocol gives by itself, and how any reply is written to the wire (RFC 5321 §4.2).

Texts are fixed and generic; nothing that a client sent is ever repeated to it.
"""

from __future__ import annotations

from collections.abc import Iterable

from mdacore import Reply

MAX_LINE_CHARS = 480
"""Of text: a reply line is at most 512 octets with its codes and CRLF (RFC 5321 §4.5.3.1.5)."""

CLOSING_CODES = frozenset((421, 521))
"""After these the connection is closed: RFC 5321 §3.8, RFC 7504 §3."""

NOOP = Reply(code=250, enhanced="2.0.0", text="Ok")
VRFY = Reply(code=252, enhanced="2.0.0", text="Cannot verify, but will accept and attempt delivery")
HELP = Reply(code=214, enhanced="2.0.0", text="See RFC 5321, and the answer to EHLO for what else is spoken")
BYE = Reply(code=221, enhanced="2.0.0", text="Bye")

ENCRYPTION_NEEDED = Reply(code=538, enhanced="5.7.11", text="Encryption required for authentication")
TLS_UNAVAILABLE = Reply(code=454, enhanced="4.7.0", text="TLS not available now")
XCLIENT_DENIED = Reply(code=550, enhanced="5.7.0", text="Insufficient authorization")

HELLO_FIRST = Reply(code=503, enhanced="5.5.1", text="Send EHLO first")
LHLO_FIRST = Reply(code=503, enhanced="5.5.1", text="Send LHLO first")
NESTED_MAIL = Reply(code=503, enhanced="5.5.1", text="Nested MAIL command")
MAIL_FIRST = Reply(code=503, enhanced="5.5.1", text="Need MAIL before this")
RCPT_FIRST = Reply(code=503, enhanced="5.5.1", text="Need RCPT before this")
NO_VALID_RCPT = Reply(code=554, enhanced="5.5.1", text="No valid recipients")

IN_TRANSACTION = Reply(code=503, enhanced="5.5.1", text="Not during a mail transaction")
IN_CHUNKS = Reply(code=503, enhanced="5.5.1", text="Not between the chunks of a message")
RESET_FIRST = Reply(code=503, enhanced="5.5.1", text="A chunk was refused, send RSET")
OUT_OF_SYNC = Reply(code=554, enhanced="5.5.0", text="SMTP protocol synchronization error")

TLS_ALREADY = Reply(code=503, enhanced="5.5.1", text="TLS is active already")
TLS_FOR_ANOTHER = Reply(code=503, enhanced="5.5.1", text="TLS would not be the client's")
AUTH_ALREADY = Reply(code=503, enhanced="5.5.1", text="Already authenticated")
UNKNOWN_MECHANISM = Reply(code=504, enhanced="5.5.4", text="Unrecognized authentication type")
AUTH_CANCELLED = Reply(code=501, enhanced="5.7.0", text="Authentication cancelled")
BAD_AUTH = Reply(code=501, enhanced="5.5.2", text="Cannot decode authentication response")
AUTH_LINE_TOO_LONG = Reply(code=500, enhanced="5.5.6", text="Authentication exchange line is too long")
TOO_MANY_AUTH_FAILURES = Reply(code=421, enhanced="4.7.0", text="Too many authentication failures")

BARE_LF = Reply(code=500, enhanced="5.5.2", text="Bad syntax: bare <LF> received")
BAD_OCTET = Reply(code=500, enhanced="5.5.2", text="Bad syntax: control character received")
LINE_TOO_LONG = Reply(code=500, enhanced="5.5.2", text="Line too long")
UNKNOWN_COMMAND = Reply(code=500, enhanced="5.5.1", text="Unknown command")
NOT_IMPLEMENTED = Reply(code=502, enhanced="5.5.1", text="Command not implemented")
NOT_SMTP = Reply(code=500, enhanced="5.5.1", text="Not SMTP, closing connection")
BAD_ARGUMENT = Reply(code=501, enhanced="5.5.4", text="Syntax error in arguments")
BAD_PARAMETER = Reply(code=501, enhanced="5.5.4", text="Syntax error in parameters")
UNKNOWN_PARAMETER = Reply(code=555, enhanced="5.5.4", text="Parameter not recognized or not implemented")
BAD_SENDER = Reply(code=501, enhanced="5.1.7", text="Bad sender address syntax")
BAD_RCPT = Reply(code=501, enhanced="5.1.3", text="Bad recipient address syntax")
BAD_SENDER_DOMAIN = Reply(code=501, enhanced="5.1.8", text="Bad sender domain")
BAD_RCPT_DOMAIN = Reply(code=501, enhanced="5.1.2", text="Bad recipient domain")
NEEDS_SMTPUTF8 = Reply(code=553, enhanced="5.6.7", text="Address is not ASCII")

BARE_IN_MESSAGE = Reply(code=550, enhanced="5.5.2", text="Message refused: bare <CR> or <LF> received")
MESSAGE_TOO_BIG = Reply(code=552, enhanced="5.3.4", text="Message size exceeds fixed limit")
FAR_TOO_BIG = Reply(code=421, enhanced="4.3.0", text="Message size exceeds fixed limit by far")
TOO_MANY_RCPTS = Reply(code=452, enhanced="4.5.3", text="Too many recipients")
FAR_TOO_MANY_RCPTS = Reply(code=421, enhanced="4.7.0", text="Too many recipients")
TOO_MANY_MESSAGES = Reply(code=421, enhanced="4.7.0", text="Too many messages in one connection")
CHUNK_FAR_TOO_BIG = Reply(code=552, enhanced="5.3.4", text="Message size exceeds fixed limit by far")
TOO_MANY_ERRORS = Reply(code=421, enhanced="4.7.0", text="Too many errors")


def chunk_received(size_bytes: int) -> Reply:
    """To BDAT, when its octets are there (RFC 3030 §2)."""
    return Reply(code=250, enhanced="2.0.0", text=f"{size_bytes} octets received")


def encode(reply: Reply) -> bytes:
    """A reply as octets, with its enhanced code on every line (RFC 2034 §4)."""
    text, enhanced = reply.text, reply.enhanced
    if len(text) > MAX_LINE_CHARS or "\n" in text:
        return encode_lines(reply.code, enhanced, text.split("\n"))
    line = f"{reply.code} {enhanced} {text}\r\n" if enhanced else f"{reply.code} {text}\r\n"
    return line.encode("ascii", "replace")


def encode_lines(code: int, enhanced: str, lines: Iterable[str]) -> bytes:
    """A reply of any number of lines as octets; what is not ASCII becomes ``?`` (RFC 5321 §4.2), long lines are cut."""
    prefix = f"{enhanced} " if enhanced else ""
    texts = [prefix + piece for line in lines for piece in _wrapped(line)]
    wire = [f"{code}-{text}\r\n" for text in texts[:-1]]
    return "".join([*wire, f"{code} {texts[-1]}\r\n"]).encode("ascii", "replace")


def _wrapped(line: str) -> list[str]:
    return [line[start : start + MAX_LINE_CHARS] for start in range(0, len(line), MAX_LINE_CHARS)] or [""]
