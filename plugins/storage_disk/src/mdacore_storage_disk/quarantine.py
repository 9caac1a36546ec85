"""Setting aside what cannot be read: moved to `corrupt/` with its reason, never deleted. Blocks on the disk."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Final

import attrs

from mdacore_storage_disk.folder import Folder

REASON: Final = ".reason"


@attrs.define
class Quarantine:
    """The `corrupt/` folder of one store; `count` is how much lies in it."""

    folder: Folder
    count: int = 0

    def look(self) -> None:
        """Count what lies there. Raises OSError."""
        self.count = sum(not name.endswith(REASON) for name in self.folder.fs.names(self.folder.corrupt))

    def put(self, shard: str, names: Iterable[str], reason: str) -> None:
        """Move these out of a shard's folder; those that belong together get one reason. Raises OSError."""
        names = list(names)
        suffix = self._free_suffix(names)
        for name in names:
            self.folder.fs.rename(self.folder.shard(shard) / name, self.folder.corrupt / (name + suffix))
            self.count += 1
        self._explain(names[0] + suffix + REASON, f"{', '.join(names)} of messages/{shard}: {reason}\n")

    def _free_suffix(self, names: list[str]) -> str:
        taken = set(self.folder.fs.names(self.folder.corrupt))
        suffixes = itertools.chain([""], (f".{number}" for number in itertools.count(1)))
        return next(suffix for suffix in suffixes if taken.isdisjoint(name + suffix for name in names))

    def _explain(self, name: str, text: str) -> None:
        fs, path = self.folder.fs, self.folder.corrupt / name
        fs.unlink(path)
        fd = fs.create(path)
        try:
            fs.write(fd, text.encode(errors="backslashreplace"), 0)
        finally:
            fs.close(fd)
