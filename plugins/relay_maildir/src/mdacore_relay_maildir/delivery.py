"""One message for one recipient: which mailbox, which of its folders, with which fields on top. No gevent here.

How a file gets into a maildir is not in here (`maildirs`), nor is what a template means (`folder`). Invariant: the
header and the body of a message stay as they came, below the two fields of final delivery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from errno import EDQUOT, ELOOP, ENOSPC, ENOTDIR
from functools import lru_cache

import attrs

from mdacore import LOCAL_ERROR, Content, Context, Envelope, MemoryBody, Reply, printable, with_lf
from mdacore_relay_maildir import events
from mdacore_relay_maildir.config import MaildirConfig
from mdacore_relay_maildir.folder import FolderTemplate, Mailbox, UnsafeAddress
from mdacore_relay_maildir.maildirs import Maildirs, UniqueNames
from mdacore_relay_maildir.maildirsize import Limits
from mdacore_relay_maildir.openplaces import OpenPlaces
from mdacore_relay_maildir.quota import OverQuota, Quota
from mdacore_relay_maildir.steps import Steps
from mdacore_relay_maildir.subfolder import Place, folder_of
from mdacore_relay_maildir.walk import UnsafeFolder

# RFC 3463 §3; the causes behind them are in the log.
DELIVERED = Reply(code=250, enhanced="2.0.0", text="Delivered")
BAD_ADDRESS = Reply(code=550, enhanced="5.1.3", text="Bad destination mailbox address")
LOOP = Reply(code=554, enhanced="5.4.6", text="Mail forwarding loop")
UNSAFE_FOLDER = Reply(code=451, enhanced="4.2.0", text="Mailbox not available, try again later")
FULL_FOR_NOW = Reply(code=452, enhanced="4.2.2", text="Mailbox full")
FULL = Reply(code=552, enhanced="5.2.2", text="Mailbox full")
NO_SPACE = Reply(code=452, enhanced="4.3.1", text="Insufficient system storage")

_REPLY_OF_ERRNO = {EDQUOT: FULL_FOR_NOW, ENOSPC: NO_SPACE, ELOOP: UNSAFE_FOLDER, ENOTDIR: UNSAFE_FOLDER}
_MAX_ADDRESS_CHARS = 900
"""With the field's name below the 998 of RFC 5322 §2.1.1; an edge takes far less (RFC 5321 §4.5.3.1)."""
_MAX_BYTES_AT_HAND = 65_536
_KNOWN_ADDRESSES = 1000


@attrs.frozen(kw_only=True)
class Delivery:
    """What became of one recipient: the reply, the log event, and its fields: the cause, or where the message is."""

    reply: Reply
    event: str
    fields: dict[str, str]


@attrs.frozen(kw_only=True)
class Message:
    """What is the same for all recipients of a message.

    Attributes:
        envelope: with the content.
        past: whom its Delivered-To fields name.
        is_spam: to be filed in the folder for that.
        is_at_hand: see the function of this name.
    """

    envelope: Envelope
    past: frozenset[str]
    is_spam: bool
    is_at_hand: bool


@attrs.frozen(kw_only=True)
class Letter:
    """A message for one recipient, ready to be written.

    Attributes:
        mailbox: whose it is.
        is_spam: to be filed in the folder for that.
        pieces: the file's octets; getting them may block if the message is not in memory. For one use.
    """

    mailbox: Mailbox
    is_spam: bool
    pieces: Iterable[bytes]


class Deliverer:
    """Delivers into the maildirs of one relay. Any thread may call."""

    def __init__(self, config: MaildirConfig, context: Context) -> None:
        next_name = UniqueNames(context.hostname, context.clock)
        limits = Limits(size_bytes=config.quota_bytes, messages=config.quota_messages)
        quota = Quota(limits, context.clock.now, next_name) if limits != Limits() else None
        open_places = OpenPlaces(config.open_maildirs, context.clock.monotonic)
        self._maildirs = Maildirs(context.resolve(config.path), next_name, quota, open_places=open_places)
        template = FolderTemplate(config.folder, config.fold_case, context.hostname, config.recipient_delimiter)
        self._mailbox = lru_cache(_KNOWN_ADDRESSES)(template.mailbox)  # the same people get mail again and again
        self._makes_up_to = config.create_subfolders
        self._junk = folder_of(config.junk_folder) if config.junk_folder else ""
        self._has_lf = config.line_ending == "lf"
        self._full = FULL if config.quota_full == "reject" else FULL_FOR_NOW

    def read(self, envelope: Envelope) -> Message:
        """Look at the header once, for all recipients. Blocks unless `is_at_hand`.

        Raises:
            OSError: the body cannot be read.
        """
        content = envelope.content
        is_spam = bool(self._junk) and _says_spam(content)
        past = _delivered_to(content)
        return Message(envelope=envelope, past=past, is_spam=is_spam, is_at_hand=is_at_hand(content))

    def letter(self, message: Message, address: str) -> Letter | Delivery:
        """What is to be written for one recipient, or why nothing is. Never blocks, raises nothing."""
        try:
            mailbox = self._mailbox(address)
        except UnsafeAddress as error:
            return _failed(BAD_ADDRESS, events.REFUSED, error)
        if message.past and _loop_key(address) in message.past:
            return _failed(LOOP, events.REFUSED, "a Delivered-To field names this recipient")
        return Letter(mailbox=mailbox, is_spam=message.is_spam, pieces=self._pieces(message, address))

    def deliver(self, letter: Letter, *, is_wanted: Callable[[], bool]) -> Steps[Delivery]:
        """Deliver to one recipient; 250 2.0.0 is durable: the file, its name, its folders. Blocks, raises nothing.

        `is_wanted` is asked just before the message can be seen.
        """
        try:
            place = self._place(letter)
            file = yield from self._maildirs.store(place, letter.pieces, is_wanted=is_wanted)
        except OverQuota as error:
            return _failed(self._full, events.FILLED, error)
        except OSError as error:
            return _failed(_reply_to(error), events.DEFERRED, error)
        return Delivery(reply=DELIVERED, event=events.DELIVERED, fields={"folder": "/".join(place.path), "file": file})

    def close(self) -> None:
        """Leave no folder open; where a message is being delivered, once it is."""
        self._maildirs.close()

    def _place(self, letter: Letter) -> Place:
        maildir, extension = letter.mailbox.maildir, letter.mailbox.extension
        if letter.is_spam:
            return Place(maildir, self._junk)
        if extension and (subfolder := folder_of(extension)):
            return self._maildirs.place(maildir, subfolder, makes_up_to=self._makes_up_to)
        return Place(maildir)

    def _pieces(self, message: Message, address: str) -> Iterable[bytes]:
        """The message as the file has it: under the fields of final delivery (RFC 5321 §4.4), nothing else changed."""
        content = message.envelope.content.prepend(_field("Delivered-To", address))
        content = content.prepend(_field("Return-Path", f"<{message.envelope.sender}>"))
        if not message.is_at_hand:
            return with_lf(content.chunks()) if self._has_lf else content.chunks()
        whole = b"".join(content.chunks())
        return (whole.replace(b"\r\n", b"\n") if self._has_lf else whole,)


def is_at_hand(content: Content) -> bool:
    """It is in memory, and so small that an event loop can take it in hand; other bodies may block."""
    return isinstance(content.body, MemoryBody) and content.body.size_bytes <= _MAX_BYTES_AT_HAND


def unreadable(error: OSError) -> Delivery:
    """What becomes of each recipient when the message itself cannot be read."""
    return _failed(LOCAL_ERROR, events.DEFERRED, error)


def _failed(reply: Reply, event: str, cause: object) -> Delivery:
    return Delivery(reply=reply, event=event, fields={"reply": str(reply), "cause": str(cause)})


def _reply_to(error: OSError) -> Reply:
    if isinstance(error, UnsafeFolder):
        return UNSAFE_FOLDER
    return _REPLY_OF_ERRNO.get(error.errno or 0, LOCAL_ERROR)


def _field(name: str, value: str) -> bytes:
    return f"{name}: {printable(value, _MAX_ADDRESS_CHARS)}\r\n".encode()


def _says_spam(content: Content) -> bool:
    """Whether the topmost X-Spam-Status begins with yes: those below may be the sender's own. May block on a disk."""
    values = content.fields(b"X-Spam-Status")
    return bool(values) and values[0].strip().lower().startswith(b"yes")


def _delivered_to(content: Content) -> frozenset[str]:
    """Whom the message says it was delivered to before. May block on a disk."""
    return frozenset(_loop_key(value.decode("utf-8", "replace")) for value in content.fields(b"Delivered-To"))


def _loop_key(address: str) -> str:
    """Equal for two spellings of one recipient. Case never counts here: a loop that is missed has no end."""
    return "".join(address.split()).removeprefix("<").removesuffix(">").removesuffix(".").casefold()
