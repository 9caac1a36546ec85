"""MAIL, RCPT, DATA and BDAT (RFC 5321 §4.1.1, RFC 3030, RFC 2033 §4.2). How bodies are read is in bodies.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .addresses import NotADomainError, NotAPathError, Path, read_path
from .bodies import END_OF_DATA, in_crlf, length_of_possible_end, unstuffed, without_fault
from .conversation import CRLF, ClosedError, Conversation, RefusedError, Transaction, WaitingError
from .parameters import BadSyntaxError, UnknownKeywordError, read_parameters
from .transcript import Asked, Message

_AFTER_HELLO = ("MAIL", "RCPT", "DATA", "BDAT", "STARTTLS", "AUTH", "XCLIENT")
_OF_TRANSACTIONS = ("MAIL", "RCPT", "DATA", "BDAT", "AUTH", "XCLIENT")


class Transactions(Conversation):
    """The commands that move mail."""

    def out_of_order(self, verb: str) -> str:
        """RFC 5321 §4.1.4, RFC 3030 §2, RFC 4954 §4; ``""`` = it is in order."""
        transaction = self.transaction
        if not self.has_greeted:
            is_refused = verb in _AFTER_HELLO
        elif transaction is None:
            is_refused = verb in ("RCPT", "DATA", "BDAT")
        elif transaction.is_spoilt:
            is_refused = verb in _OF_TRANSACTIONS
        elif verb in ("DATA", "BDAT") and not transaction.rcpt_count:
            return "554 5.5.1" if transaction.has_refused_rcpt and not self.scenario.is_lmtp else "503 5.5.1"
        else:
            is_refused = verb in ("MAIL", "AUTH", "XCLIENT") or (verb == "RCPT" and transaction.chunks is not None)
        return "503 5.5.1" if is_refused else ""

    # --- MAIL and RCPT

    def path(self, argument: bytes, keyword: str, blamed: str) -> Path:
        """`blamed` is the enhanced code of a bad path, and that of a bad domain."""
        bad_path, bad_domain = blamed.split()
        try:
            return read_path(argument.decode(), keyword)
        except NotADomainError:
            raise RefusedError(f"501 {bad_domain}") from None
        except (NotAPathError, UnicodeDecodeError):
            is_keyword = argument[: len(keyword)].upper() == keyword.encode()
            raise RefusedError(f"501 {bad_path if is_keyword else '5.5.4'}") from None

    def parameters(self, rest: str, verb: str) -> dict[str, str]:
        try:
            return read_parameters(rest, verb, self.granted.keywords)
        except BadSyntaxError:
            raise RefusedError("501 5.5.4") from None
        except UnknownKeywordError:
            raise RefusedError("555 5.5.4") from None

    def mail(self, argument: bytes) -> None:
        path = self.path(argument, "FROM:", "5.1.7 5.1.8")
        if not argument.isascii() and "SMTPUTF8" not in self.granted.keywords:
            raise RefusedError("553 5.6.7")
        parameters = self.parameters(path.rest, "MAIL")
        if not argument.isascii() and "SMTPUTF8" not in parameters:
            raise RefusedError("553 5.6.7")
        size = int(parameters.get("SIZE", 0))
        if size > self.rules.max_message_size_bytes:
            raise RefusedError("552 5.3.4")
        if self.message_count >= self.rules.max_messages:
            self.close("421 4.7.0")
        self.message_count += 1
        reply = self.ask("MailCommand", path.address, size, parameters)
        self.repeat(reply)
        if reply.code < 400:
            self.transaction = Transaction("SMTPUTF8" in parameters)

    def rcpt(self, argument: bytes) -> None:
        transaction = self.the_transaction()
        path = self.path(argument, "TO:", "5.1.3 5.1.2")
        if not argument.isascii() and "SMTPUTF8" not in self.granted.keywords:
            raise RefusedError("553 5.6.7")
        parameters = self.parameters(path.rest, "RCPT")
        if not argument.isascii() and not transaction.is_smtputf8:
            raise RefusedError("553 5.6.7")
        if transaction.rcpt_count >= self.rules.max_recipients:
            transaction.overshoot_count += 1
            if transaction.overshoot_count > self.rules.max_excess_recipients:
                self.close("421 4.7.0")
            self.say("452 4.5.3")
            return
        reply = self.ask("RcptCommand", path.address, parameters)
        self.repeat(reply)
        transaction.rcpt_count += reply.code < 400
        transaction.has_refused_rcpt |= reply.code >= 400

    def the_transaction(self) -> Transaction:
        assert self.transaction is not None
        return self.transaction

    # --- DATA

    def data(self) -> None:
        transaction = self.the_transaction()
        self.must_be_last()
        if transaction.chunks is not None:
            self.transaction = None
            with self.refusing_message("503 5.5.1"):
                self.error("503 5.5.1")
            return
        reply = self.ask("DataCommand")
        if reply.code >= 400:
            self.idle()
        self.repeat(reply)
        if reply.code < 400:
            self.read_data()

    def read_data(self) -> None:
        """RFC 5321 §4.1.1.4: the CRLF of DATA is the first of what may be CRLF.CRLF; §4.5.2: stuffed dots."""
        octets = CRLF + self.octets[self.at :]
        is_ended = END_OF_DATA in octets
        end = octets.index(END_OF_DATA) + 2 if is_ended else len(octets) - length_of_possible_end(octets)
        text = self.as_kept(unstuffed(octets[2:end]))
        self.transcript.messages.append(self.may_come_out(text))
        if len(text) > self.rules.max_message_size_bytes + self.rules.max_excess_bytes:
            with self.refusing_message("421 4.3.0"):
                self.close("421 4.3.0")
        if not is_ended:
            self.is_in_data = True
            raise WaitingError
        self.at += end + len(b".\r\n") - 2
        self.end_message(text)

    def as_kept(self, text: bytes) -> bytes:
        return in_crlf(text) if self.rules.is_normalizing else text

    def may_come_out(self, text: bytes) -> Message:
        """Nothing after a fault, and perhaps less, as it was in a piece with it."""
        good = without_fault(text)[: self.rules.max_message_size_bytes]
        return Message(good, is_exact=good == text)

    def end_message(self, text: bytes) -> None:
        if len(text) > self.rules.max_message_size_bytes:
            self.refuse_message("552 5.3.4")
        elif without_fault(text) != text:
            self.refuse_message("550 5.5.2")
        else:
            self.hand_over()

    def refuse_message(self, reply: str) -> None:
        self.errors += 1
        with self.refusing_message(reply):
            self.say_to_each(reply)
            self.transaction = None

    @contextmanager
    def refusing_message(self, reply: str) -> Iterator[None]:
        """The caller is told after the client."""
        code, _, enhanced = reply.partition(" ")
        try:
            yield
        finally:
            self.transcript.items.append(Asked("MessageRefused", (int(code), enhanced)))

    def reply_count(self) -> int:
        """RFC 2033 §4.2."""
        return self.the_transaction().rcpt_count if self.scenario.is_lmtp else 1

    def say_to_each(self, reply: str) -> None:
        for _ in range(self.reply_count()):
            self.say(reply)

    def hand_over(self) -> None:
        given = self.scenario.answer_each(self.question_count, self.reply_count())
        if given is None:
            given = [self.ask("MessageEnded")] * self.reply_count()
        else:
            self.transcript.items.append(Asked("MessageEnded"))
            self.question_count += 1
        for reply in given:
            self.repeat(reply)
        self.transaction = None
        if any(reply.code < 300 for reply in given):
            self.forgive()
        if any(reply.code in (421, 521) for reply in given):
            raise ClosedError

    # --- BDAT (RFC 3030)

    def bdat(self, argument: bytes) -> None:
        words = argument.rstrip(b" ").split(b" ", 1)
        is_number = 1 <= len(words[0]) <= 18 and all(octet in b"0123456789" for octet in words[0])
        last = words[1].lstrip(b" ").upper() if len(words) == 2 else b""
        if not is_number or last not in (b"", b"LAST"):
            self.close("501 5.5.4")
        size, is_last = int(words[0]), last == b"LAST"
        is_open = self.is_in_chunks()
        so_far = self.the_transaction().chunks if is_open else b""
        if self.known_size(so_far or b"") + size > self.rules.max_message_size_bytes + self.rules.max_excess_bytes:
            self.cut_chunk(is_message_open=is_open)
        refusal = self.out_of_order("BDAT")
        if not refusal and "CHUNKING" not in self.granted.keywords:
            refusal = "502 5.5.1"
        if refusal:
            self.waste(size, refusal, is_last=is_last)
        elif is_open:
            self.chunk(size, is_last=is_last)
        else:
            self.first_chunk(size, is_last=is_last)

    def known_size(self, chunks: bytes) -> int:
        """A CR at the end is not counted before it is known what follows."""
        return len(self.as_kept(chunks[:-1] if chunks.endswith(b"\r") else chunks))

    def is_in_chunks(self) -> bool:
        transaction = self.transaction
        return transaction is not None and transaction.chunks is not None and not transaction.is_spoilt

    def cut_chunk(self, *, is_message_open: bool) -> None:
        if not is_message_open:
            self.close("552 5.3.4")
        with self.refusing_message("552 5.3.4"):
            self.close("552 5.3.4")

    def waste(self, size: int, refusal: str, *, is_last: bool) -> None:
        if len(self.take(size)) < size:
            raise WaitingError
        is_spoilt = self.transaction is not None and self.transaction.is_spoilt
        if is_last and is_spoilt:
            self.errors += 1
            if self.errors >= self.rules.max_errors:
                self.close("421 4.7.0")
            self.say_to_each(refusal)
            self.transaction = None
        else:
            self.error(refusal)

    def first_chunk(self, size: int, *, is_last: bool) -> None:
        transaction = self.the_transaction()
        reply = self.ask("FirstChunk")
        if reply.code < 400:
            transaction.chunks = b""
            self.transcript.messages.append(Message())
            self.chunk(size, is_last=is_last)
            return
        transaction.is_spoilt = True
        if len(self.take(size)) < size:
            raise WaitingError
        for _ in range(self.reply_count() if is_last else 1):
            self.repeat(reply)
        if is_last:
            self.transaction = None

    def chunk(self, size: int, *, is_last: bool) -> None:
        transaction = self.the_transaction()
        taken = self.take(size)
        transaction.chunks = (transaction.chunks or b"") + taken
        is_ended = is_last and len(taken) == size
        held = 1 if transaction.chunks.endswith(b"\r") and not is_ended else 0
        text = self.as_kept(transaction.chunks[: len(transaction.chunks) - held])
        self.transcript.messages[-1] = self.may_come_out(text)
        if len(taken) < size:
            raise WaitingError
        if is_last:
            self.end_message(text)
        elif len(text) > self.rules.max_message_size_bytes:
            self.spoil()
        else:
            if not size:
                self.note_empty_chunk()
            self.say("250 2.0.0")

    def note_empty_chunk(self) -> None:
        """It moves no mail, either."""
        try:
            self.idle()
        except ClosedError:
            self.transcript.items.append(Asked("MessageRefused", (421, "4.7.0")))
            raise

    def spoil(self) -> None:
        self.the_transaction().is_spoilt = True
        self.errors += 1
        with self.refusing_message("552 5.3.4"):
            self.say("552 5.3.4")
