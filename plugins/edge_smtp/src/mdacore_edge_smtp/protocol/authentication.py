"""AUTH: the exchange between the command and its credentials (RFC 4954 §4). The mechanisms themselves are pysasl's.

Invariants: a line is never longer than `max_auth_line_bytes`; what the client sent is in no reply and no exception.
"""

from __future__ import annotations

import base64
import binascii

import attrs
from pysasl.creds.server import ServerCredentials
from pysasl.exception import InvalidResponse
from pysasl.identity import Identity
from pysasl.mechanism import ChallengeResponse, ServerChallenge, ServerMechanism
from pysasl.mechanism.login import LoginMechanism
from pysasl.mechanism.plain import PlainMechanism

from mdacore import Credentials, Reply
from mdacore_edge_smtp.protocol import events, replies
from mdacore_edge_smtp.protocol.dialogue import Dialogue
from mdacore_edge_smtp.protocol.framing import BareLineFeed, LineTooLong


@attrs.frozen
class AuthCommand:
    """AUTH: the mechanism's name in upper case, and the initial response as it was sent; None = none."""

    mechanism: str
    initial_response: bytes | None


def obey_auth(dialogue: Dialogue, command: AuthCommand) -> events.Event | None:
    """Begin the exchange; with an initial response it may be over at once."""
    if dialogue.is_authenticated:
        dialogue.refuse(replies.AUTH_ALREADY)
        return None
    mechanism = _mechanism(command.mechanism)
    if mechanism is None:
        dialogue.refuse(replies.UNKNOWN_MECHANISM)
        return None
    exchange = _Exchange(mechanism)
    dialogue.turn = exchange
    initial = command.initial_response
    # RFC 4954 §4: "=" is the initial response of no octets.
    return exchange.go_on(dialogue) if initial is None else exchange.take(dialogue, b"" if initial == b"=" else initial)


def _mechanism(name: str) -> ServerMechanism | None:
    return PlainMechanism() if name == "PLAIN" else LoginMechanism() if name == "LOGIN" else None


class _Exchange:
    """The turn of the client's responses."""

    __slots__ = ("_mechanism", "_responses", "_unanswered")

    def __init__(self, mechanism: ServerMechanism) -> None:
        self._mechanism = mechanism
        self._responses: list[ChallengeResponse] = []
        self._unanswered = b""

    def __call__(self, dialogue: Dialogue) -> events.Event | events.Pause | None:
        try:
            dialogue.input.limit_bytes = dialogue.limits.max_auth_line_bytes
            line = dialogue.input.next_line()
        except BareLineFeed:
            return _fail(dialogue, replies.BARE_LF)
        except LineTooLong:
            dialogue.close(replies.AUTH_LINE_TOO_LONG, reason="line too long")
            return None
        if line is None:
            return events.NEED_DATA
        if dialogue.is_ahead():
            return None
        return _fail(dialogue, replies.AUTH_CANCELLED) if line == b"*" else self.take(dialogue, line)

    def take(self, dialogue: Dialogue, line: bytes) -> events.Event | None:
        """Take a response in base64."""
        digits = line.rstrip(b"=")
        try:
            response = binascii.a2b_base64(line, strict_mode=True)
        except binascii.Error:
            return _fail(dialogue, replies.BAD_AUTH)
        if digits != line and not len(digits) % 4:  # whole groups need no padding; not every Python objects to it
            return _fail(dialogue, replies.BAD_AUTH)
        self._responses.append(ChallengeResponse(self._unanswered, response))
        return self.go_on(dialogue)

    def go_on(self, dialogue: Dialogue) -> events.Event | None:
        """Challenge the client, or ask about its credentials."""
        try:
            given, _ = self._mechanism.server_attempt(self._responses)
        except ServerChallenge as challenge:
            self._unanswered = challenge.data
            dialogue.send(Reply(code=334, text=base64.b64encode(challenge.data).decode("ascii")))
            return None
        except (InvalidResponse, UnicodeDecodeError):
            return _fail(dialogue, replies.BAD_AUTH)
        credentials = _credentials(self._mechanism, given)
        if not credentials.authcid or "\0" in credentials.authcid + credentials.secret:  # RFC 4616 §2
            return _fail(dialogue, replies.BAD_AUTH)
        dialogue.turn = None
        return dialogue.ask(events.AuthAttempt(credentials))


def _fail(dialogue: Dialogue, reply: Reply) -> events.Event | None:
    dialogue.turn = None
    dialogue.refuse(reply)
    return None


def _credentials(mechanism: ServerMechanism, given: ServerCredentials) -> Credentials:
    witness = _Witness()
    given.verify(witness)
    return Credentials(
        mechanism=mechanism.name.decode("ascii"),
        authcid=given.authcid,
        authzid="" if given.authzid == given.authcid else given.authzid,
        secret=witness.secret,
    )


class _Witness(Identity):
    """Hears the secret, which pysasl tells to nobody but an identity that compares it."""

    def __init__(self) -> None:
        self.secret = ""

    @property
    def authcid(self) -> str:
        return ""

    def compare_authcid(self, authcid: str) -> bool:  # noqa: ARG002 (pysasl's word)
        return True

    def compare_secret(self, secret: str) -> bool:
        self.secret = secret
        return True

    def get_clear_secret(self) -> str | None:
        return None
