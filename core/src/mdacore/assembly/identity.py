"""Whom the service becomes once its ports are bound: the names in ``[service]``, looked up in the system's database.

Nothing is changed in here. Invariant: an Identity's groups are exactly those that the process will have, its own
primary group among them; nothing of the groups of whoever started it stays.
"""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import attrs

from mdacore.assembly.config import ServiceKeys
from mdacore.assembly.tree import KeyPath, Report

ROOT = 0


@attrs.frozen(kw_only=True)
class Identity:
    """A user as a process has one.

    Attributes:
        groups: all of them, `gid` included.
    """

    name: str
    uid: int
    gid: int
    groups: frozenset[int]
    home: str


class UnknownName(Exception):
    """The system knows no such user or group; `key` is where the configuration has the name."""

    def __init__(self, key: KeyPath, text: str) -> None:
        super().__init__(text)
        self.key = key


def find_identity(keys: ServiceKeys) -> Identity | None:
    """Whom the keys name, or None if they name nobody. Asks the system's user database, which may take its time.

    Raises:
        UnknownName: of the user or a group.
    """
    if keys.user is None:
        return None
    try:
        entry = pwd.getpwnam(keys.user)
    except KeyError as error:
        raise UnknownName(("service", "user"), f"there is no user {keys.user!r}") from error
    gid = entry.pw_gid if keys.group is None else _gid(("service", "group"), keys.group)
    more = [
        _gid(("service", "supplementary_groups", index), name) for index, name in enumerate(keys.supplementary_groups)
    ]
    groups = frozenset([gid, *os.getgrouplist(keys.user, gid), *more])
    return Identity(name=keys.user, uid=entry.pw_uid, gid=gid, groups=groups, home=entry.pw_dir)


def check_process(keys: ServiceKeys, state_path: Path, report: Report) -> None:
    """Note what ``[service]`` asks for and this process could not do. Only stat and the user database."""
    try:
        identity = find_identity(keys)
    except UnknownName as error:
        report.add(error.key, str(error))
        identity = None
    if keys.user is None:
        for key in ("group", "supplementary_groups"):
            if getattr(keys, key):
                report.add(("service", key), "means nothing without a user")
    if os.geteuid() != ROOT:
        _check_without_root(keys, identity, report)
    for key, path in (("pid_file", keys.pid_file), ("control", keys.control or None)):
        folder = state_path if path is None else (state_path / path).parent
        if folder != state_path and not folder.is_dir():
            report.add(("service", key), f"there is no folder {folder}")


def name_of(uid: int) -> str:
    """The user's name, or its number where the system knows none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _check_without_root(keys: ServiceKeys, identity: Identity | None, report: Report) -> None:
    me = name_of(os.geteuid())
    if identity is not None and identity.uid != os.geteuid():
        report.add(("service", "user"), f"only root can become {identity.name!r}, and this is {me!r}")
    elif identity is not None and keys.group is not None and identity.gid != os.getegid():
        report.add(("service", "group"), f"only root can take on {keys.group!r}, and this is {me!r}")
    elif identity is not None and not identity.groups <= {os.getegid(), *os.getgroups()} and keys.supplementary_groups:
        report.add(("service", "supplementary_groups"), f"only root can take them on, and this is {me!r}")
    if keys.spawn_helper:
        report.add(("service", "spawn_helper"), f"only root can start programs as other users, and this is {me!r}")


def _gid(key: KeyPath, name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise UnknownName(key, f"there is no group {name!r}") from error
