"""The server, as the RFCs tell it: `expected` says what a conversation must look like from beginning to end.

It has all octets before it at once and goes through them from left to right; when they are not enough, the
conversation stops (`WaitingError`), and when the connection ends, too (`ClosedError`). What is behind a command when
it is obeyed is asked of the pieces, since that is what RFC 2920 §3.1 is about.
Commands that move mail are in transactions.py.
"""

from __future__ import annotations

from mdacore import Credentials

from .conversation import CRLF, ClosedError, RefusedError, WaitingError
from .parameters import BadSyntaxError, read_attributes, read_base64
from .scenario import OFFERS, Offered, Scenario
from .transactions import Transactions
from .transcript import Said, Transcript

_HTTP = ("GET", "HEAD", "POST", "PUT", "OPTIONS", "CONNECT")
_MINOR_REPLIES = {"NOOP": "250 2.0.0", "HELP": "214 2.0.0", "VRFY": "252 2.0.0"}
_MUST_BE_LAST = ("EHLO", "HELO", "LHLO", "DATA", "STARTTLS", "AUTH", "XCLIENT")


def expected(scenario: Scenario) -> Transcript:
    """What must come of it."""
    model = _Model(scenario)
    model.run()
    return model.transcript


class _Model(Transactions):
    def run(self) -> None:
        try:
            self.connect()
            while True:
                self.obey(self.next_command())
        except WaitingError:
            self.transcript.end = "waiting"
        except ClosedError:
            self.transcript.end = "closed"
        self.transcript.error_count = self.errors
        self.transcript.is_message_open = self.is_in_data or self.is_in_chunks()

    # --- commands

    def connect(self) -> None:
        reply = self.ask("Connected")
        self.must_be_last()
        self.repeat(reply, has_status=False)

    def obey(self, line: bytes) -> None:
        word, _, argument = line.partition(b" ")
        verb = word.upper().decode("latin-1")
        try:
            self.check_octets(verb, line)
            self.check_order(verb)
            self.command(verb, argument)
        except RefusedError as refused:
            if verb == "RCPT" and self.transaction is not None:
                self.transaction.has_refused_rcpt = True
            if verb in _MUST_BE_LAST:
                self.must_be_last()
            self.error(str(refused))

    def check_octets(self, verb: str, line: bytes) -> None:
        if b"\r" in line or (b"\0" in line and verb not in ("MAIL", "RCPT")):
            if verb.startswith("BDAT"):
                self.close("501 5.5.4")
            raise RefusedError("500 5.5.2")

    def check_order(self, verb: str) -> None:
        """The octets of BDAT are read in any case, so that it looks by itself."""
        refusal = self.out_of_order(verb)
        if refusal and verb != "BDAT":
            raise RefusedError(refusal)

    def command(self, verb: str, argument: bytes) -> None:
        with_argument = {
            "MAIL": self.mail, "RCPT": self.rcpt, "BDAT": self.bdat, "AUTH": self.auth, "XCLIENT": self.xclient,
        }  # fmt: skip
        alone = {"DATA": self.data, "RSET": self.reset, "QUIT": self.quit, "STARTTLS": self.starttls}
        if verb in (("LHLO",) if self.scenario.is_lmtp else ("EHLO", "HELO")):
            self.hello(verb, argument)
        elif verb in with_argument:
            with_argument[verb](argument)
        elif verb in alone:
            if argument.strip(b" "):
                raise RefusedError("501 5.5.4")
            alone[verb]()
        else:
            self.minor_command(verb, argument)

    def minor_command(self, verb: str, argument: bytes) -> None:
        if verb == "VRFY" and not argument.strip(b" "):
            raise RefusedError("501 5.5.4")
        if verb.startswith("BDAT"):
            self.close("501 5.5.4")
        if verb in _HTTP:
            self.close("500 5.5.1")
        if verb not in _MINOR_REPLIES:
            raise RefusedError("502 5.5.1" if verb in ("EXPN", "ETRN", "TURN") else "500 5.5.1")
        self.expect_another()
        self.idle()
        self.say(_MINOR_REPLIES[verb])

    def hello(self, verb: str, argument: bytes) -> None:
        name = argument.strip(b" ")
        if not 1 <= len(name) <= 255 or any(not 0x21 <= octet <= 0x7E for octet in name):
            raise RefusedError("501 5.5.4")
        self.must_be_last()
        self.idle()
        reply = self.ask("Greeting", verb, name.decode())
        if reply.code >= 400:
            self.repeat(reply)
            return
        self.has_greeted, self.transaction = True, None
        self.granted = Offered(keywords=()) if verb == "HELO" else self.offered()
        self.repeat(reply, *map(self.line_of_ehlo, self.granted.keywords), has_status=False)

    def offered(self) -> Offered:
        return OFFERS[self.scenario.offers][self.is_tls]

    def line_of_ehlo(self, keyword: str) -> str:
        rules = self.rules
        arguments = {
            "SIZE": f" {rules.max_message_size_bytes}",
            "LIMITS": f" RCPTMAX={rules.max_recipients} MAILMAX={rules.max_messages}",
            "AUTH": " PLAIN LOGIN",
            "XCLIENT": " NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT",
        }
        return keyword + arguments.get(keyword, "")

    def demand(self, keyword: str) -> None:
        if keyword not in self.granted.keywords:
            raise RefusedError(self.granted.withheld.get(keyword, "502 5.5.1"))

    def quit(self) -> None:
        self.close("221 2.0.0")

    def expect_another(self) -> None:
        """A client that has sent all it may, and asks whether the connection is still good, is told no."""
        if self.transaction is None and self.message_count >= self.rules.max_messages:
            self.close("421 4.7.0")

    def reset(self) -> None:
        self.expect_another()
        self.idle()
        reply = self.ask("ResetCommand")
        if reply.code < 400:
            self.transaction = None
        self.repeat(reply)

    def starttls(self) -> None:
        if self.is_something_behind():
            self.close("554 5.5.0")
        if self.is_tls:
            raise RefusedError("503 5.5.1")
        self.demand("STARTTLS")
        self.idle()
        reply = self.ask("TlsCommand")
        self.repeat(reply)
        if reply.code >= 400:
            return
        if not self.scenario.has_handshake:
            raise ClosedError
        self.is_tls = True
        self.forget()

    def forget(self) -> None:
        self.has_greeted = self.is_authenticated = False
        self.granted = Offered(keywords=())
        self.transaction = None

    def xclient(self, argument: bytes) -> None:
        self.demand("XCLIENT")
        try:
            attributes = read_attributes(argument)
        except BadSyntaxError:
            raise RefusedError("501 5.5.4") from None
        self.must_be_last()
        self.idle()
        reply = self.ask("XclientCommand", attributes)
        self.repeat(reply, has_status=reply.code >= 400)
        if reply.code < 400:
            self.forget()
            self.forgive()
            self.message_count = self.auth_failures = 0

    # --- AUTH

    def auth(self, argument: bytes) -> None:
        self.demand("AUTH")
        words = argument.split()
        if not argument.isascii() or len(words) not in (1, 2):
            raise RefusedError("501 5.5.4")
        self.must_be_last()
        self.idle()
        mechanism = words[0].decode().upper()
        if self.is_authenticated:
            raise RefusedError("503 5.5.1")
        if mechanism not in ("PLAIN", "LOGIN"):
            raise RefusedError("504 5.5.4")
        credentials = self.credentials(mechanism, words[1:])
        if credentials is not None:
            self.authenticate(credentials)

    def credentials(self, mechanism: str, given: list[bytes]) -> Credentials | None:
        """Ask for the responses that were not given; None = nothing came of it, which was said."""
        responses = []
        for challenge in {"PLAIN": ("",), "LOGIN": ("VXNlcm5hbWU6", "UGFzc3dvcmQ6")}[mechanism]:
            if given:
                line: bytes | None = given.pop()
                line = b"" if line == b"=" else line  # RFC 4954 §4
            else:
                line = self.response(challenge)
            if line is None:
                return None
            try:
                responses.append(read_base64(line))
            except BadSyntaxError:
                self.error("501 5.5.2")
                return None
        credentials = _credentials(mechanism, responses)
        if credentials is None:
            self.error("501 5.5.2")
        return credentials

    def response(self, challenge: str) -> bytes | None:
        """What the client answers; None = it gave up, or did it wrong."""
        self.transcript.items.append(Said(334, "", (challenge,)))
        line = self.next_auth_line()
        if not line.endswith(CRLF) and not self.rules.is_normalizing:
            self.error("500 5.5.2")
            self.skip_line()
            return None
        self.must_be_last()
        response = line[:-2] if line.endswith(CRLF) else line[:-1]
        if response == b"*":
            self.error("501 5.7.0")
            return None
        return response

    def authenticate(self, credentials: Credentials) -> None:
        reply = self.ask("AuthAttempt", credentials)
        if reply.code < 400:
            self.is_authenticated = True
            self.auth_failures = 0
        elif reply.code >= 500:
            self.auth_failures += 1
            if self.auth_failures >= self.rules.max_auth_failures:
                self.close("421 4.7.0")
        self.repeat(reply)


def _credentials(mechanism: str, responses: list[bytes]) -> Credentials | None:
    """RFC 4616 §2 for PLAIN; LOGIN has no standard, and its parts are the same."""
    parts = responses[0].split(b"\0") if mechanism == "PLAIN" else [b"", *responses]
    try:
        texts = [part.decode() for part in parts]
    except UnicodeDecodeError:
        return None
    if len(texts) != 3 or not texts[1] or any("\0" in text for text in texts):
        return None
    authzid = "" if texts[0] == texts[1] else texts[0]
    return Credentials(mechanism=mechanism, authcid=texts[1], authzid=authzid, secret=texts[2])
