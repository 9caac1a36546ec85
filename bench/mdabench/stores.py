"""Stores full of deferred messages: filled once, kept beside what is compiled, and copied for each life.

A copy is on the disk, and no longer in memory: a service that starts on it reads it as after a reboot.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from importlib import util
from pathlib import Path

from mdabench import worker
from mdabench.load import BUILD
from mdabench.mail import MAILBOXES, address, message

FILL_LIMIT_S = 1800.0
FILLS = ("fill.py", "storages.py")
DUE_IN_S = 10 * 365 * 86_400.0  # nothing of it falls due while the store is kept


def filled(kind: str, *, messages: int, size_bytes: int) -> Path:
    """The folder of such a store, which must not be changed; takes its time when there is none yet. Raises Failed.

    A store is filled anew once the storage's code is another one: that may have another layout.
    """
    name = f"store-{kind}-{messages}-{size_bytes}"
    folder = BUILD / f"{name}-{_digest(kind)}"
    if not folder.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        for outdated in BUILD.glob(f"{name}-*"):
            shutil.rmtree(outdated)
        with tempfile.TemporaryDirectory(dir=BUILD, prefix="filling-") as unfinished:
            _fill(Path(unfinished), kind, messages, size_bytes)
            (Path(unfinished) / "spool").rename(folder)
    return folder


def copy(store: Path, folder: Path) -> None:
    """Make `folder` a copy of this store, synced, with nothing of it in the page cache."""
    subprocess.run(["cp", "-r", "--reflink=auto", str(store), str(folder)], check=True)
    for path in (each for top in (store, folder) for each in top.rglob("*") if each.is_file()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _fill(unfinished: Path, kind: str, messages: int, size_bytes: int) -> None:
    want = {
        "kind": kind,
        "path": str(unfinished / "spool"),
        "messages": messages,
        "message": message(size_bytes).decode(),
        "mailboxes": [address(number) for number in range(MAILBOXES)],
        "due_at": time.time() + DUE_IN_S,
    }
    worker.run("fill", want, data=unfinished, limit_s=FILL_LIMIT_S)


def _digest(kind: str) -> str:
    """Of the code that fills it."""
    spec = util.find_spec(f"mdacore_storage_{kind}")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    plugin = [path for folder in spec.submodule_search_locations for path in Path(folder).glob("*.py")]
    texts = [path.read_bytes() for path in sorted([*plugin, *(worker.WORKERS / name for name in FILLS)])]
    return hashlib.sha256(b"".join(texts)).hexdigest()[:12]
