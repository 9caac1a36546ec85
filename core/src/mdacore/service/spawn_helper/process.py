"""One process of the helper's: forked, made to be the user, executed; what went wrong before that comes over a pipe.

All that depends on a request happens in the fork: a template's code, and the user database, which may hang. It can be
ended like any other process then, and the helper goes on.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from errno import EIO
from typing import NoReturn

import attrs

from mdacore.contracts import CommandTemplate, UnknownUser, UserRefused
from mdacore.service.spawn_helper.accounts import become_account, check_account, end_with_parent, find_account
from mdacore.service.spawn_helper.messages import Report, Spawn, encode_report, parse_report

UMASK = 0o077
NOT_EXECUTED = 127
_PIPE_BYTES = 4096
_FIRST_FD = 3


@attrs.frozen(kw_only=True)
class Order:
    """What to run: the request, the template that it names, and the descriptors that came with it."""

    request: Spawn
    template: CommandTemplate
    stdin_fd: int
    output_fd: int
    min_uid: int


class Process:
    """A process that has not been reaped, so that its number is nobody else's.

    Attributes:
        exit_fd: readable once it has ended.
        trouble_fd: readable once it is executed, or will never be; -1 after `outcome`.
        is_started: it was executed, as far as `outcome` has seen.
    """

    def __init__(self, order: Order) -> None:
        """Fork it. Raises OSError if there cannot be another process."""
        self._job = order.request.job
        self._is_signalled = False
        self.is_started = False
        self.trouble_fd, write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self._pid = os.fork()
            if self._pid == 0:
                _run(order, write_fd)
        except OSError:
            os.close(self.trouble_fd)
            raise
        finally:
            os.close(write_fd)
        try:
            self.exit_fd = os.pidfd_open(self._pid)
        except OSError:
            self.signal(signal.SIGKILL)
            os.waitpid(self._pid, 0)
            os.close(self.trouble_fd)
            raise

    def outcome(self) -> Report:
        """Whether it was started: once, when `trouble_fd` is readable."""
        try:
            packet = os.read(self.trouble_fd, _PIPE_BYTES)
        except BlockingIOError:  # somebody else holds the pipe: a daemon that a user database has started
            return Report("failed", self._job, EIO, "nobody knows whether it was executed")
        finally:
            os.close(self.trouble_fd)
            self.trouble_fd = -1  # the number may be another's from now on
        self.is_started = not packet
        return parse_report(packet) if packet else Report("started", self._job)

    def signal(self, number: int) -> None:
        """To its group, or to itself as long as it has none."""
        self._is_signalled = True
        try:
            os.killpg(self._pid, number)
        except ProcessLookupError:
            os.kill(self._pid, number)

    def reap(self) -> Report | None:
        """How it ended, if it has. If its group was signalled, what is left of that ends with it."""
        if self._is_signalled and os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            with suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        if not pid:
            return None
        os.close(self.exit_fd)
        return Report("exited", self._job, status)


def default_signals() -> None:
    """Signals as a fresh program expects them."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def close_all_but(*kept_fds: int) -> None:
    """Close every descriptor from 3 up but these."""
    first = _FIRST_FD
    for fd in sorted(kept_fds):
        os.closerange(first, fd)
        first = fd + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def _run(order: Order, write_fd: int) -> NoReturn:
    """In the fork. Whatever happens, it does not come back into the helper's code."""
    job = order.request.job
    report: Report | None = None
    try:
        _execute(order, write_fd)
    except UnknownUser as error:
        report = Report("unknown", job, text=str(error))
    except OSError as error:
        report = Report("failed", job, error.errno or 0, str(error))
    except (UserRefused, ValueError) as error:
        report = Report("refused", job, text=str(error))
    finally:
        if report is None:
            report = Report("refused", job, text=f"the template failed: {sys.exc_info()[1]!r}")
        os.write(write_fd, encode_report(report))
        os._exit(NOT_EXECUTED)


def _execute(order: Order, write_fd: int) -> NoReturn:
    os.setsid()
    default_signals()
    values = order.request.values
    account = find_account(order.template.run_as(values))
    check_account(account, order.min_uid)
    command = order.template.command(values, account)
    os.dup2(order.stdin_fd, 0)
    os.dup2(order.output_fd, 1)
    os.dup2(order.output_fd, 2)
    close_all_but(write_fd)
    os.umask(UMASK)
    os.chdir("/")
    become_account(account)
    end_with_parent()
    os.execve(command.argv[0], command.argv, command.environment)  # noqa: S606 - that no shell is asked is the point
