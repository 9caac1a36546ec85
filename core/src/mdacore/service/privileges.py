"""Privileges: the process becomes the service's user, for good, and proves it.

By now the ports are bound and the spawn helper is forked; no storage has been opened and no thread started: a thread
would have been a way back. Invariant: after `start` no thread of this process has the rights of another user, and none
can get them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import mdacore
from mdacore import events
from mdacore.assembly.identity import ROOT, Identity
from mdacore.contracts import EventLog
from mdacore.service.part import Part

_TASKS = Path("/proc/self/task")
_IDS = re.compile(r"^(Uid|Gid|CapPrm|CapEff|CapAmb):\s*(.*)$", re.MULTILINE)


class Privileges(Part):
    """Gives up root's rights, if the process has them and the configuration names a user."""

    def __init__(self, identity: Identity | None, state_path: Path, log: EventLog) -> None:
        self._identity = identity
        self._state_path = state_path
        self._log = log

    def start(self) -> None:
        """Become the user. Raises OSError if that cannot be proved, or the user may not use what the service needs."""
        identity = self._identity
        if os.geteuid() != ROOT:
            return  # the configuration was proved to ask for no more than that
        if identity is None:
            self._log.warning(events.SERVICE_PRIVILEGES_KEPT, user="root", cure="set user in [service]")
        elif identity.uid != ROOT:
            check_no_thread()
            become(identity)
            check_reach(self._state_path, identity.name)
            self._log.info(events.SERVICE_PRIVILEGES_DROPPED, user=identity.name, uid=identity.uid, gid=identity.gid)


def become(identity: Identity) -> None:
    """Take on the user's groups and numbers, in the one order that works, and prove it.

    Raises:
        OSError: the process is not this user, or could be root again; it must not go on.
    """
    os.setgroups(sorted(identity.groups))
    os.setresgid(identity.gid, identity.gid, identity.gid)
    os.setresuid(identity.uid, identity.uid, identity.uid)
    prove(identity)
    os.environ |= {"HOME": identity.home, "USER": identity.name, "LOGNAME": identity.name}


def prove(identity: Identity) -> None:
    """Raises PermissionError unless every thread is this user and nothing else, and none can become root again."""
    facts = {
        "user": (os.getresuid(), (identity.uid,) * 3),
        "group": (os.getresgid(), (identity.gid,) * 3),
        "groups": (frozenset(os.getgroups()) | {identity.gid}, identity.groups),
    }
    wrong = [
        f"{what} {sorted(is_now)} instead of {sorted(wanted)}"
        for what, (is_now, wanted) in facts.items()
        if is_now != wanted
    ]
    wrong += [f"a thread with {fact}" for fact in _rights_of_threads(identity)]
    with suppress(PermissionError):
        os.setuid(ROOT)
        wrong.append("it can be root again")
    if wrong:
        raise PermissionError(f"the process is not {identity.name}: {'; '.join(wrong)}")


def check_no_thread() -> None:
    """Raises PermissionError if this process has more than one thread. Where there is no /proc nobody can tell."""
    with suppress(FileNotFoundError):
        threads = len(list(_TASKS.iterdir()))
        if threads > 1:
            raise PermissionError(f"{threads - 1} threads were started too early: an edge must not in `bind`")


def check_reach(state_path: Path, name: str) -> None:
    """Raises PermissionError if this process may not use what it needs: found now, not by the first odd failure."""
    for module in (os, mdacore):
        file = Path(module.__file__ or "/")
        if not os.access(file, os.R_OK):
            raise PermissionError(
                f"{name} may not read {file}: Python and mdacore must be where the user can read them"
            )
    if not os.access(state_path, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError(f"{name} may not write into the state folder; chown -R {name} {state_path}")


def _rights_of_threads(identity: Identity) -> Iterator[str]:
    for path in _TASKS.glob("*/status"):
        for name, text in _IDS.findall(path.read_text()):
            if name in ("Uid", "Gid"):
                is_wrong = set(map(int, text.split())) != {identity.uid if name == "Uid" else identity.gid}
            else:
                is_wrong = int(text, 16) != 0
            if is_wrong:
                yield f"{name} {text.split()}"
