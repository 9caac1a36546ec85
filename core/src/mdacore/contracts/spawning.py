"""Spawning: how a component starts programs as other users, which the service itself may not.

While it is built, a component registers what its configuration lets it run. The service then forks the spawn helper,
which keeps root's rights and what was registered, and gives up its own. From there on the component sends values only:
the helper fills them in, with the code and the configuration that it was forked with. So whoever takes over the service
can start nothing else, and nothing as root.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import attrs

from mdacore.words import MdaError, Reply


@attrs.frozen(kw_only=True)
class Account:
    """A user as the system's database has it; `home` is a folder's path."""

    name: str
    uid: int
    gid: int
    home: str


@attrs.frozen(kw_only=True)
class Command:
    """What is executed: UTF-8 octets without NUL, as the system wants them.

    Attributes:
        argv: the program's absolute path and its arguments.
        environment: all of it.
    """

    argv: tuple[bytes, ...]
    environment: Mapping[bytes, bytes]


class CommandTemplate(Protocol):
    """What one configuration runs, and as whom. Pure: both methods are called in the helper, with root's rights.

    `values` come from a process that may have been taken over: their number, and each of them, can be anything that is
    text without NUL. Whatever is wrong with them is a ValueError.
    """

    def run_as(self, values: Sequence[str]) -> str:
        """The name of the user to run as."""

    def command(self, values: Sequence[str], account: Account) -> Command:
        """The values filled in. `account` is the user's."""


class UnknownUser(MdaError):
    """The system knows no such user, and is sure of it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reply=Reply(code=550, enhanced="5.1.1", text="Unknown user"))


class UserRefused(MdaError):
    """The helper runs nothing as this user, or not with these values."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reply=Reply(code=451, enhanced="4.3.5", text="Local configuration error"))


class SpawnedProcess(Protocol):
    """One process that the helper started."""

    def signal_group(self, number: int) -> None:
        """SIGTERM or SIGKILL to its process group. Once the group was signalled, the end of the process is the end of
        what is left of the group, too. After its end this does nothing. Never blocks, raises nothing.
        """


class Spawner(Protocol):
    """Starts processes from one template, once the service has started."""

    def spawn(
        self, values: Sequence[str], *, stdin_fd: int, output_fd: int, on_exit: Callable[[int], object]
    ) -> SpawnedProcess:
        """Start a process with `stdin_fd` as 0 and `output_fd` as 1 and 2; both stay the caller's.

        It leads a session of its own; its user's primary group is its only one, and its working directory is ``/``.
        `on_exit` gets its wait status once, on the hub, and must not block; when the helper is lost, that of SIGKILL.
        Blocks this greenlet until the program is executed. Interrupted, or raising anything, it leaves no process
        behind and never calls `on_exit`.

        Raises:
            OSError: it was not started; `errno` says why.
            UnknownUser, UserRefused: it will not be.
        """


class Spawning(Protocol):
    """What a Context has for components that run programs as other users."""

    def register(self, template: CommandTemplate) -> Spawner:
        """While a component is built: what it will run. No I/O.

        Raises:
            ValueError: there is no spawn helper in this configuration; a sentence for the operator.
        """


class NoSpawning:
    """The Spawning of a service without a spawn helper."""

    def register(self, template: CommandTemplate) -> Spawner:  # noqa: ARG002 - the contract's parameter
        raise ValueError("running programs as another user needs spawn_helper = true in [service]")
