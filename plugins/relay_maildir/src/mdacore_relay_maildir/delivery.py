"""One message for one recipient: which mailbox, which of its folders, with which fields on top. Blocks; no gevent here.

How a file gets into a maildir is not in here (`maildirs`), nor is what a template means (`folder`). Invariant: the
header and the body of a message stay as they came, below the two fields of final delivery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from errno import EDQUOT, ELOOP, ENOSPC, ENOTDIR

import attrs

from mdacore import LOCAL_ERROR, Content, Context, Envelope, Reply, printable, with_lf
from mdacore_relay_maildir import events
from mdacore_relay_maildir.config import MaildirConfig
from mdacore_relay_maildir.folder import FolderTemplate, UnsafeAddress
from mdacore_relay_maildir.maildirs import Maildirs, UniqueNames
from mdacore_relay_maildir.maildirsize import Limits
from mdacore_relay_maildir.quota import OverQuota, Quota
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
    """

    envelope: Envelope
    past: frozenset[str]
    is_spam: bool


class Deliverer:
    """Delivers into the maildirs of one relay. Any thread may call."""

    def __init__(self, config: MaildirConfig, context: Context) -> None:
        next_name = UniqueNames(context.hostname, context.clock)
        limits = Limits(size_bytes=config.quota_bytes, messages=config.quota_messages)
        quota = Quota(limits, context.clock.now, next_name) if limits != Limits() else None
        self._maildirs = Maildirs(context.resolve(config.path), next_name, quota)
        self._template = FolderTemplate(config.folder, config.fold_case, context.hostname, config.recipient_delimiter)
        self._makes_up_to = config.create_subfolders
        self._junk = folder_of(config.junk_folder) if config.junk_folder else ""
        self._has_lf = config.line_ending == "lf"
        self._full = FULL if config.quota_full == "reject" else FULL_FOR_NOW

    def read(self, envelope: Envelope) -> Message:
        """Look at the header once, for all recipients. Raises OSError if the body cannot be read."""
        is_spam = bool(self._junk) and _says_spam(envelope.content)
        return Message(envelope=envelope, past=_delivered_to(envelope.content), is_spam=is_spam)

    def deliver(self, message: Message, address: str, *, is_wanted: Callable[[], bool]) -> Delivery:
        """Deliver to one recipient; 250 2.0.0 is durable: the file, its name, its folders. Raises nothing.

        `is_wanted` is asked just before the message can be seen.
        """
        try:
            mailbox = self._template.mailbox(address)
        except UnsafeAddress as error:
            return _failed(BAD_ADDRESS, events.REFUSED, error)
        if _loop_key(address) in message.past:
            return _failed(LOOP, events.REFUSED, "a Delivered-To field names this recipient")
        try:
            if message.is_spam:
                place = Place(mailbox.maildir, self._junk)
            elif subfolder := folder_of(mailbox.extension):
                place = self._maildirs.place(mailbox.maildir, subfolder, makes_up_to=self._makes_up_to)
            else:
                place = Place(mailbox.maildir)
            file = self._maildirs.store(place, self._pieces(message.envelope, address), is_wanted=is_wanted)
        except OverQuota as error:
            return _failed(self._full, events.FILLED, error)
        except OSError as error:
            return _failed(_reply_to(error), events.DEFERRED, error)
        return Delivery(reply=DELIVERED, event=events.DELIVERED, fields={"folder": "/".join(place.path), "file": file})

    def _pieces(self, envelope: Envelope, address: str) -> Iterator[bytes]:
        """The message as the file has it: under the fields of final delivery (RFC 5321 §4.4), nothing else changed."""
        content = envelope.content.prepend(_field("Delivered-To", address))
        content = content.prepend(_field("Return-Path", f"<{envelope.sender}>"))
        return with_lf(content.chunks()) if self._has_lf else content.chunks()


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
