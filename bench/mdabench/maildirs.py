"""A folder of maildirs: made before a measurement, and counted after it.

What was delivered is what lies in the ``new`` folders, and not what a target says about itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mdabench.mail import MAILBOXES, user
from mdabench.server import Failed

_PARTS = ("tmp", "new", "cur")


def make(folder: Path, *, uid: int, gid: int) -> None:
    """One for each user in this empty folder, so that nobody's first delivery is measured."""
    folder.chmod(0o700)
    os.chown(folder, uid, gid)
    for path in (folder / user(number) / part for number in range(MAILBOXES) for part in ("", *_PARTS)):
        path.mkdir(mode=0o700)
        os.chown(path, uid, gid)


def count(folder: Path) -> int:
    """How many messages are there."""
    return sum(1 for _ in _files(folder))


def rate(folder: Path, *, messages: int, size_bytes: int) -> float:
    """Deliveries a second, from the first to the last by the files' own times.

    Raises:
        Failed: there are fewer or more than `messages`, or one is smaller than what was sent.
    """
    files = list(_files(folder))
    if messages != len(files):
        raise Failed(f"{len(files)} messages are in the maildirs, and there should be {messages}")
    if short := [file for file in files if file.st_size < size_bytes * 0.9]:  # CRLF may have become LF
        raise Failed(f"{len(short)} messages are not whole")
    times = [file.st_ctime_ns for file in files]
    return (messages - 1) / ((max(times) - min(times)) / 1e9)


def _files(folder: Path) -> Iterator[os.stat_result]:
    for new in folder.glob("*/new"):
        with os.scandir(new) as entries:
            yield from (entry.stat() for entry in entries)
