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
HELP = Reply(code=214, enhanced="2.0.0", text="EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT, see RFC 5321")
BYE = Reply(code=221, enhanced="2.0.0", text="Bye")

HELLO_FIRST = Reply(code=503, enhanced="5.5.1", text="Send EHLO first")
NESTED_MAIL = Reply(code=503, enhanced="5.5.1", text="Nested MAIL command")
MAIL_FIRST = Reply(code=503, enhanced="5.5.1", text="Need MAIL before this")
RCPT_FIRST = Reply(code=503, enhanced="5.5.1", text="Need RCPT before this")
NO_VALID_RCPT = Reply(code=554, enhanced="5.5.1", text="No valid recipients")

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
NEEDS_SMTPUTF8 = Reply(code=553, enhanced="5.6.7", text="Address is not ASCII")

BARE_IN_MESSAGE = Reply(code=550, enhanced="5.5.2", text="Message refused: bare <CR> or <LF> received")
MESSAGE_TOO_BIG = Reply(code=552, enhanced="5.3.4", text="Message size exceeds fixed limit")
FAR_TOO_BIG = Reply(code=421, enhanced="4.3.0", text="Message size exceeds fixed limit by far")
TOO_MANY_RCPTS = Reply(code=452, enhanced="4.5.3", text="Too many recipients")
FAR_TOO_MANY_RCPTS = Reply(code=421, enhanced="4.7.0", text="Too many recipients")
TOO_MANY_ERRORS = Reply(code=421, enhanced="4.7.0", text="Too many errors")


def encode(reply: Reply) -> bytes:
    """A reply as octets, with its enhanced code on every line (RFC 2034 §4)."""
    text = f"{reply.enhanced} {reply.text}" if reply.enhanced else reply.text
    if len(text) <= MAX_LINE_CHARS and "\n" not in text:
        return f"{reply.code} {text}\r\n".encode("ascii", "replace")
    return encode_lines(reply.code, reply.enhanced, reply.text.split("\n"))


def encode_lines(code: int, enhanced: str, lines: Iterable[str]) -> bytes:
    """A reply of any number of lines as octets; what is not ASCII becomes ``?`` (RFC 5321 §4.2), long lines are cut."""
    prefix = f"{enhanced} " if enhanced else ""
    texts = [prefix + piece for line in lines for piece in _wrapped(line)]
    wire = [f"{code}-{text}\r\n" for text in texts[:-1]]
    return "".join([*wire, f"{code} {texts[-1]}\r\n"]).encode("ascii", "replace")


def _wrapped(line: str) -> list[str]:
    return [line[start : start + MAX_LINE_CHARS] for start in range(0, len(line), MAX_LINE_CHARS)] or [""]
