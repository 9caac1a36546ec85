"""The configuration of one disk storage, and what can be known of it without touching anything."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs

from mdacore import Context, Problem, SizeBytes

LARGEST_MESSAGE_BYTES: Final = 50 * 2**20


@attrs.frozen(kw_only=True)
class DiskConfig:
    """``[storages.<name>] kind = "disk"``."""

    path: Path = attrs.field(
        default=Path("spool"),
        metadata={"help": "Folder of the store, on a local file system; relative to the state folder."},
    )
    min_free_bytes: SizeBytes = attrs.field(
        default=SizeBytes(2 * LARGEST_MESSAGE_BYTES + 64 * 10**6),
        validator=attrs.validators.ge(SizeBytes(0)),
        metadata={"help": "New mail is refused with 452 when less than this would stay free on the file system."},
    )
    parallel_syncs: int = attrs.field(
        default=16,
        validator=[attrs.validators.ge(1), attrs.validators.le(256)],
        metadata={"help": "How many files are written and synced at the same time, each in a thread of its own."},
    )


def check(config: DiskConfig, context: Context) -> Iterable[Problem]:
    """What stat and access say: the path is no folder, or this process may not use or make it."""
    path = context.resolve(config.path)
    return [Problem("path", text) for text in _problems(path)]


def _problems(path: Path) -> Iterator[str]:
    existing = next(one for one in (path, *path.parents) if os.path.lexists(one))
    try:
        is_folder = existing.is_dir()
    except PermissionError:
        is_folder = False
    if existing == path:
        if not is_folder:
            yield f"{path} exists and is not a folder"
        elif not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            yield f"{path} is not readable and writable for this user"
    elif not is_folder:
        yield f"{path} cannot be made: {existing} is not a folder"
    elif not os.access(existing, os.W_OK | os.X_OK):
        yield f"{path} cannot be made: {existing} is not writable for this user"
