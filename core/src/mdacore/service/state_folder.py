"""StateFolder: the folder under which everything relative is, made while the process may still make it.

Invariant: what is given away is what was made here, whoever may write into the folder above it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from mdacore.assembly.identity import Identity
from mdacore.service.part import Part

_MODE = 0o700
_PARENTS_UMASK = 0o022


class StateFolder(Part):
    """Made for the service's user if it is not there; one that is there is left as it is.

    What was made and is still empty at the end (a start that failed) is removed again.
    """

    def __init__(self, path: Path, owner: Identity | None) -> None:
        self._path = path
        self._owner = owner
        self._made: list[Path] = []

    def start(self) -> None:
        """Make it, mode 0700, and what is missing above it, which belongs to whoever starts. Raises OSError."""
        if self._path.exists():
            return
        missing = [path for path in (self._path, *self._path.parents) if not path.exists()]
        umask = os.umask(_PARENTS_UMASK)
        try:
            self._path.mkdir(mode=_MODE, parents=True)
        finally:
            os.umask(umask)
            self._made = [path for path in missing if path.exists()]
        if self._owner is not None and self._owner.uid != os.geteuid():
            self._give_away(self._owner)

    def stop(self) -> None:
        made, self._made = self._made, []
        with suppress(OSError):  # the first that is not empty: what is in it is somebody's
            for path in made:
                path.rmdir()

    def _give_away(self, owner: Identity) -> None:
        fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_uid != os.geteuid():
                raise PermissionError(f"{self._path} is not the folder that was made")
            os.fchown(fd, owner.uid, owner.gid)
        finally:
            os.close(fd)
