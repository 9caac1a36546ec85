"""The configuration of one shelve storage, and what can be known of it without touching anything."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import attrs

from mdacore import Context, Problem, SizeBytes

LARGEST_MESSAGE_BYTES = 50 * 2**20


@attrs.frozen(kw_only=True)
class ShelveConfig:
    """``[storages.<name>] kind = "shelve"``."""

    path: Path = attrs.field(
        default=Path("spool"),
        metadata={"help": "Folder of the store, on a local file system; relative to the state folder."},
    )
    min_free_bytes: SizeBytes = attrs.field(
        default=SizeBytes(2 * LARGEST_MESSAGE_BYTES + 64 * 10**6),
        validator=attrs.validators.ge(SizeBytes(0)),
        metadata={"help": "New mail is refused with 452 when less than this would stay free on the file system."},
    )
    wal_max_bytes: SizeBytes = attrs.field(
        default=SizeBytes(64 * 2**20),
        validator=attrs.validators.ge(SizeBytes(2**20)),
        metadata={"help": "The write-ahead log starts again from its beginning once it is longer than this."},
    )


def check(config: ShelveConfig, context: Context) -> Iterable[Problem]:
    """What stat and access say: the path is no folder, or this process may not use or make it."""
    path = context.resolve(config.path)
    if _is_folder(path):
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            yield Problem("path", f"{path} is not readable and writable for this user")
    elif os.path.lexists(path):
        yield Problem("path", f"{path} exists and is not a folder")
    else:
        yield from _check_parent(path)


def _check_parent(path: Path) -> Iterable[Problem]:
    parent = next(parent for parent in path.parents if os.path.lexists(parent))
    if not _is_folder(parent):
        yield Problem("path", f"{path} cannot be made: {parent} is not a folder")
    elif not os.access(parent, os.W_OK | os.X_OK):
        yield Problem("path", f"{path} cannot be made: {parent} is not writable for this user")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError:
        return False
