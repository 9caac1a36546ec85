"""Accounts: whom a name means, whether anything may run as that user, and becoming it for good."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
from errno import EAGAIN

from mdacore.contracts import Account, UnknownUser, UserRefused

ROOT = 0
_PR_SET_PDEATHSIG = 1
_BUFFER_BYTES = 65_536
_ENTRY_BYTES = 1024
"""More than any system's ``struct passwd`` takes."""


def find_account(name: str) -> Account:
    """Look a user up. May block for as long as the system's user database does.

    Raises:
        UnknownUser: the database has answered that there is none.
        OSError: it has not answered, so that nobody knows.
    """
    try:
        entry = pwd.getpwnam(name)
    except KeyError as error:
        code = _lookup_error(name)
        if code:
            raise OSError(code, f"the user database: {os.strerror(code)}") from error
        raise UnknownUser(f"there is no user {name!r}") from error
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, home=entry.pw_dir)


def check_account(account: Account, min_uid: int) -> None:
    """Raises UserRefused for root, root's group and everybody below `min_uid`."""
    if account.uid == ROOT or account.uid < min_uid:
        raise UserRefused(f"user {account.name} has the number {account.uid}, below min_uid = {min_uid}")
    if account.gid == ROOT:
        raise UserRefused(f"the group of user {account.name} is root's")


def become_account(account: Account) -> None:
    """Take on the user's number and primary group, and nothing else, for good.

    Raises:
        OSError: this process is not that user.
    """
    os.setgroups([account.gid])
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    is_now = (os.getresuid(), os.getresgid(), os.getgroups())
    if is_now != ((account.uid,) * 3, (account.gid,) * 3, [account.gid]):
        raise PermissionError(f"the process is {is_now}, not {account}")


def end_with_parent() -> None:
    """Ask the system to kill this process when its parent ends. A change of users forgets it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _lookup_error(name: str) -> int:
    """Why a name was not found: 0 = there is none. Python's `pwd` does not tell the one from the other."""
    buffer, entry = ctypes.create_string_buffer(_BUFFER_BYTES), ctypes.create_string_buffer(_ENTRY_BYTES)
    found = ctypes.c_void_p()
    code: int = ctypes.CDLL(None).getpwnam_r(
        name.encode(), entry, buffer, ctypes.c_size_t(_BUFFER_BYTES), ctypes.byref(found)
    )
    return EAGAIN if found.value else code
