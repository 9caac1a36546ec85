"""One delivery: the command, a turn at the mailbox, the message as a file, the process, and what its end means.

Each of these is in a module of its own; what holds them together is in here. Invariants: a delivery ends within its
limit in exactly one reply, whatever happens; one mailbox has as many processes at once as are allowed; the hub never
waits for a disk or a child. Which recipients are delivered when is the relay's business.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from errno import ENOSPC

import attrs

from mdacore import Account, Context, Envelope, MdaError, QueueId, Recipient, Reply
from mdacore_relay_lda import events, verdict
from mdacore_relay_lda.child import Launcher, SpawnLauncher
from mdacore_relay_lda.config import LdaConfig
from mdacore_relay_lda.message import Messages, loop_key, with_fields
from mdacore_relay_lda.program import Command, Program
from mdacore_relay_lda.result import Result
from mdacore_relay_lda.runner import Runner
from mdacore_relay_lda.template import UnsafeValue
from mdacore_relay_lda.turns import Turns

_GRACE_SHARE = 0.2
"""Of one delivery's time: what is at most kept for ending it."""


@attrs.frozen(kw_only=True)
class Delivery:
    """What became of one process's recipients: the reply; for the log how the process ended, or why there was none."""

    reply: Reply
    result: Result | None = None
    cause: str = ""


class NoProcess(Exception):
    """Why no process has judged: the reply, and for the log the cause."""

    def __init__(self, reply: Reply, cause: str) -> None:
        super().__init__(cause)
        self.reply = reply


class Deliverer:
    """Delivers by one program.

    `launcher` starts the processes; by default as the service's own user.

    Attributes:
        program: what is run.
        trouble: why the last process could not be started; ``""`` = it could.
    """

    def __init__(
        self,
        config: LdaConfig,
        context: Context,
        *,
        program: Program,
        verdicts: verdict.Verdicts,
        launcher: Launcher | None = None,
    ) -> None:
        self.program = program
        self.trouble = ""
        self._config = config
        self._verdicts = verdicts
        self._log = context.log
        self._clock = context.clock
        self._runner = Runner(launcher or SpawnLauncher(), output_max_bytes=config.output_max)
        self._turns = Turns(config.concurrency_per_recipient, context.clock)
        self._messages = Messages(
            context.resolve(config.temporary_path),
            memory_max_bytes=config.memory_max,
            threads=config.writers,
            has_lf=config.line_ending == "lf",
        )
        self._account = Account(name="", uid=-1, gid=-1, home="/")

    @property
    def processes(self) -> int:
        """How many run."""
        return len(self._runner)

    def start(self) -> None:
        """Look up the service's account; make the folder for large messages. Main thread only.

        Raises OSError if the folder cannot be made.
        """
        self._account = _own_account()
        self._runner.start()
        self._messages.start()

    def stop(self) -> None:
        """Kill what runs, with its group."""
        self._runner.stop()
        self._messages.stop()

    def deliver(
        self, envelope: Envelope, recipients: Sequence[Recipient], queue_id: QueueId, limit_s: float
    ) -> Delivery:
        """One process for these recipients, in at most `limit_s`. Raises nothing but what interrupts it."""
        try:
            command = self._command(envelope, recipients, queue_id)
            with self._turn(recipients, limit_s) as left_s, self._message(envelope, recipients) as message_fd:
                result = self._run(command, message_fd, left_s())
        except NoProcess as error:
            return Delivery(reply=error.reply, cause=str(error))
        return Delivery(reply=self._verdicts.reply(result), result=result)

    def _command(self, envelope: Envelope, recipients: Sequence[Recipient], queue_id: QueueId) -> Command:
        try:
            return self.program.command(envelope, recipients, queue_id, self._account)
        except UnsafeValue as error:
            raise NoProcess(verdict.UNSAFE_ADDRESS, str(error)) from error

    @contextmanager
    def _turn(self, recipients: Sequence[Recipient], limit_s: float) -> Iterator[Callable[[], float]]:
        """Hold the mailbox; the value tells how much of the limit is left. One process for all waits for nobody."""
        _check_time(limit_s)
        ends_at = self._clock.monotonic() + limit_s
        is_one = self.program.is_per_recipient
        mailbox = self.program.addressing.mailbox(recipients[0].address) if is_one else object()
        with self._turns.turn(mailbox, min(self._config.mailbox_wait_s, limit_s)) as has_turn:
            if not has_turn:
                raise NoProcess(verdict.BUSY, "other deliveries into this mailbox are running")
            yield lambda: ends_at - self._clock.monotonic()

    @contextmanager
    def _message(self, envelope: Envelope, recipients: Sequence[Recipient]) -> Iterator[int]:
        """What the program reads. Fields that name a recipient are for one recipient only, and so is the loop."""
        address = recipients[0].address if self._config.delivered_to and self.program.is_per_recipient else None
        return_path = envelope.sender if self._config.return_path else None
        try:
            if address is not None and loop_key(address) in self._messages.delivered_to(envelope.content):
                raise NoProcess(verdict.LOOP, "a Delivered-To field names this recipient")
            content = with_fields(envelope.content, return_path=return_path, delivered_to=address)
            message_fd = self._messages.open(content)
        except OSError as error:
            reply = verdict.NO_SPACE if error.errno == ENOSPC else verdict.LOCAL_ERROR
            raise NoProcess(reply, f"the message: {error}") from error
        try:
            yield message_fd
        finally:
            os.close(message_fd)

    def _run(self, command: Command, message_fd: int, limit_s: float) -> Result:
        _check_time(limit_s)
        grace_s = min(self._config.kill_grace_s, limit_s * _GRACE_SHARE)
        run_s = min(self._config.timeout_s, limit_s - grace_s)
        try:
            result = self._runner.run(command, message_fd, limit_s=run_s, grace_s=grace_s)
        except OSError as error:
            self.trouble = f"{self.program.path}: {error.strerror}"
            self._log.error(events.NOT_STARTED, program=self.program.path, error=error.strerror)
            raise NoProcess(verdict.reply_to_error(error), self.trouble) from error
        except MdaError as error:
            raise NoProcess(error.reply, str(error)) from error
        self.trouble = ""
        return result


def _check_time(left_s: float) -> None:
    if left_s <= 0:
        raise NoProcess(verdict.OVERDUE, "no time was left for it")


def _own_account() -> Account:
    uid, gid = os.geteuid(), os.getegid()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:  # a user without an entry, as in a container
        return Account(name=str(uid), uid=uid, gid=gid, home="/")
    return Account(name=entry.pw_name, uid=uid, gid=gid, home=entry.pw_dir)
