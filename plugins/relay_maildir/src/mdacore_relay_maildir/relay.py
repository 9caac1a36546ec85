"""The relay itself: one message for some recipients, each into a maildir of its own.

How a file gets into a maildir is not in here (`maildirs`), nor is whose maildir it is (`folder`). Invariants: the hub
never waits for the disk; a recipient's 250 is given when its file and its folders are durable; an attempt that is over
delivers nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from errno import EDQUOT, ELOOP, ENOSPC, ENOTDIR

import attrs
import gevent
from gevent.threadpool import ThreadPool

from mdacore import LOCAL_ERROR, Attempt, Content, Context, Envelope, Health, Reply, Status, printable, with_lf
from mdacore_relay_maildir import events
from mdacore_relay_maildir.config import MaildirConfig
from mdacore_relay_maildir.folder import FolderTemplate, UnsafeAddress
from mdacore_relay_maildir.maildirs import Maildirs, UniqueNames, UnsafeFolder, make_root

# RFC 3463 §3; the causes behind them are in the log.
DELIVERED = Reply(code=250, enhanced="2.0.0", text="Delivered")
BAD_ADDRESS = Reply(code=550, enhanced="5.1.3", text="Bad destination mailbox address")
LOOP = Reply(code=554, enhanced="5.4.6", text="Mail forwarding loop")
UNSAFE_FOLDER = Reply(code=451, enhanced="4.2.0", text="Mailbox not available, try again later")
OVER_QUOTA = Reply(code=452, enhanced="4.2.2", text="Mailbox full")
NO_SPACE = Reply(code=452, enhanced="4.3.1", text="Insufficient system storage")
STOPPING = Reply(code=451, enhanced="4.3.2", text="Service is stopping, try again later")

_REPLY_OF_ERRNO = {EDQUOT: OVER_QUOTA, ENOSPC: NO_SPACE, ELOOP: UNSAFE_FOLDER, ENOTDIR: UNSAFE_FOLDER}
_OWN_SHARE_OF_DEADLINE = 0.9
_STOP_S = 2.0
_MAX_ADDRESS_CHARS = 900
"""With the field's name below the 998 of RFC 5322 §2.1.1; an edge takes far less (RFC 5321 §4.5.3.1)."""


@attrs.frozen(kw_only=True)
class Delivery:
    """What became of one recipient: the reply, and for the log the cause or where the message is."""

    reply: Reply
    cause: str = ""
    folder: str = ""
    file: str = ""


@attrs.define
class _Job:
    """One attempt, shared by its greenlet and its thread: the thread adds results, the greenlet may give up."""

    envelope: Envelope
    results: dict[int, Delivery] = attrs.field(factory=dict)
    is_over: bool = False


class MaildirRelay:
    """Final delivery into maildirs."""

    def __init__(self, config: MaildirConfig, context: Context) -> None:
        self._root = context.resolve(config.path)
        self._template = FolderTemplate(config.folder, config.fold_case, context.hostname)
        self._maildirs = Maildirs(self._root, UniqueNames(context.hostname, context.clock))
        self._has_lf = config.line_ending == "lf"
        self._workers = config.workers
        self._log = context.log
        self._pool: ThreadPool | None = None
        self._takes_work = False
        self._is_stopped = False
        self._trouble = ""

    def start(self) -> None:
        """Make the root folder and the threads. Raises OSError if the root cannot be made or belongs to others."""
        make_root(self._root)
        self._pool = ThreadPool(self._workers)
        self._takes_work = True

    def drain(self, grace_s: float) -> bool:
        """Refuse new attempts and wait for those in hand."""
        self._takes_work = False
        if self._pool is None:
            return True
        gevent.with_timeout(grace_s, self._pool.join, timeout_value=None)
        return len(self._pool) == 0

    def stop(self) -> None:
        """End the threads. What is in hand is given up before anybody can see it; a thread that hangs is left alone."""
        self._takes_work = False
        self._is_stopped = True
        pool, self._pool = self._pool, None
        if pool is not None:
            gevent.with_timeout(_STOP_S, pool.kill, timeout_value=None)

    def health(self) -> Health:
        """Degraded from a delivery that the disk did not take to the next that it does."""
        facts = {"path": str(self._root), "messages_in_hand": len(self._pool) if self._pool is not None else 0}
        return Health(status=Status.DEGRADED if self._trouble else Status.OK, reason=self._trouble, facts=facts)

    def destination(self, envelope: Envelope) -> str:  # noqa: ARG002 - the contract's signature
        """One disk, one lane."""
        return ""

    def attempt(self, envelope: Envelope, attempt: Attempt) -> Mapping[int, Reply]:
        """Deliver to each recipient in turn, in a thread. 250 2.0.0 is durable: the file, its name, its folders.

        Gives up a little before its deadline, so that it can still say who has the message. A thread that hangs on a
        dead disk beyond that delivers nothing when it wakes, unless it was at the very last step.
        """
        numbers = [recipient.number for recipient in envelope.recipients]
        if self._pool is None or not self._takes_work:
            return dict.fromkeys(numbers, STOPPING)
        job = _Job(envelope)
        limit_s = attempt.deadline_s * _OWN_SHARE_OF_DEADLINE
        try:
            gevent.with_timeout(limit_s, self._pool.apply, self._run, (job,), timeout_value=None)
        finally:
            job.is_over = True
        results = dict(job.results)
        if len(results) < len(numbers):
            self._log.warning(events.OVERRAN, limit_s=limit_s, missing=len(numbers) - len(results))
            self._trouble = "an attempt overran its deadline"
        self._report(envelope, results)
        return {number: results[number].reply if number in results else LOCAL_ERROR for number in numbers}

    def _run(self, job: _Job) -> None:
        """In the thread. Logs nothing: what is bound to the log belongs to the greenlet."""
        try:
            past = _delivered_to(job.envelope.content)
        except OSError as error:
            failed = Delivery(reply=LOCAL_ERROR, cause=str(error))
            job.results.update((recipient.number, failed) for recipient in job.envelope.recipients)
            return
        for recipient in job.envelope.recipients:
            if job.is_over or self._is_stopped:
                return
            job.results[recipient.number] = self._deliver(job, recipient.address, past)

    def _deliver(self, job: _Job, address: str, past: frozenset[str]) -> Delivery:
        try:
            folder = self._template.folder(address)
        except UnsafeAddress as error:
            return Delivery(reply=BAD_ADDRESS, cause=str(error))
        if _loop_key(address) in past:
            return Delivery(reply=LOOP, cause="a Delivered-To field names this recipient")
        try:
            file = self._maildirs.store(
                folder,
                self._lines(job.envelope, address),
                is_wanted=lambda: not (job.is_over or self._is_stopped),
            )
        except OSError as error:
            return Delivery(reply=_reply_to(error), cause=str(error))
        return Delivery(reply=DELIVERED, folder="/".join(folder), file=file)

    def _lines(self, envelope: Envelope, address: str) -> Iterator[bytes]:
        """The message as the file has it: under the fields of final delivery (RFC 5321 §4.4), nothing else changed."""
        content = envelope.content.prepend(_field("Delivered-To", address))
        content = content.prepend(_field("Return-Path", f"<{envelope.sender}>"))
        return with_lf(content.chunks()) if self._has_lf else content.chunks()

    def _report(self, envelope: Envelope, results: Mapping[int, Delivery]) -> None:
        for recipient in envelope.recipients:
            if (result := results.get(recipient.number)) is None:
                continue
            rcpt = printable(recipient.address)  # a refused address may hold what cannot be written to a log
            if result.reply.is_success:
                self._trouble = ""
                self._log.debug(events.DELIVERED, rcpt=rcpt, folder=result.folder, file=result.file)
            elif result.reply.is_permanent:
                self._log.info(events.REFUSED, rcpt=rcpt, reply=str(result.reply), cause=result.cause)
            else:
                self._trouble = result.cause
                self._log.warning(events.DEFERRED, rcpt=rcpt, reply=str(result.reply), cause=result.cause)


def _reply_to(error: OSError) -> Reply:
    if isinstance(error, UnsafeFolder):
        return UNSAFE_FOLDER
    return _REPLY_OF_ERRNO.get(error.errno or 0, LOCAL_ERROR)


def _field(name: str, value: str) -> bytes:
    return f"{name}: {printable(value, _MAX_ADDRESS_CHARS)}\r\n".encode()


def _delivered_to(content: Content) -> frozenset[str]:
    """Whom the message says it was delivered to before. May block on a disk."""
    return frozenset(_loop_key(value.decode("utf-8", "replace")) for value in content.fields(b"Delivered-To"))


def _loop_key(address: str) -> str:
    """Equal for two spellings of one recipient. Case never counts here: a loop that is missed has no end."""
    return "".join(address.split()).removeprefix("<").removesuffix(">").removesuffix(".").casefold()
