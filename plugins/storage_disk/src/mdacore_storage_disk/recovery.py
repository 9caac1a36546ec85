"""Recovery: what the files of one shard say after a restart, and what is done about those that a crash has left over.

A notice belongs to the queue if the log of its original names it, or if its original is gone: that happens only after
the log was durable. Any other was being stored when the process died; it is taken back before its original is attempted
again.

Invariant: a file that this store did not write, or that is damaged, is moved aside with its reason; no other is lost,
and none is believed.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from mdacore import QueueId
from mdacore_storage_disk.files import LOG, MESSAGE, MessageFiles
from mdacore_storage_disk.folder import SHARDS
from mdacore_storage_disk.fs import Kind
from mdacore_storage_disk.ids import QueueIds
from mdacore_storage_disk.journal import Event, Remembered, Settled
from mdacore_storage_disk.quarantine import Quarantine
from mdacore_storage_disk.reading import read_both, read_log
from mdacore_storage_disk.record import RecordError
from mdacore_storage_disk.state import Acceptance

_TRY_AGAIN: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@attrs.define
class Recovered:
    """What one shard holds.

    Attributes:
        live: acceptances with something left to do.
        over: acceptances whose files are to be removed.
        remembered: keys of those whose message files are gone, with their logs.
        aside: names that were moved to `corrupt/`, and why.
        unreadable: names that stay where they are, and why they could not be read now.
    """

    live: list[Acceptance] = attrs.field(factory=list)
    over: list[Acceptance] = attrs.field(factory=list)
    remembered: list[tuple[Remembered, Path]] = attrs.field(factory=list)
    aside: list[tuple[str, str]] = attrs.field(factory=list)
    unreadable: list[tuple[str, str]] = attrs.field(factory=list)


@attrs.frozen(kw_only=True)
class Recovery:
    """Reads shards. What this run of the store has written, from `first_number` on, is left alone."""

    files: MessageFiles
    ids: QueueIds
    quarantine: Quarantine
    first_number: int

    def filled(self) -> Sequence[str]:
        """The shards that there is something in. Blocks on the disk. Raises OSError."""
        folder = self.files.folder
        return [shard for shard in SHARDS if folder.fs.names(folder.shard(shard))]

    def shard(self, shard: str) -> Recovered:
        """Read one shard and put it in order. Blocks on the disk.

        Raises:
            OSError: there are too few descriptors, or too little memory; nothing of it was used.
            StorageError: the disk failed.
        """
        return _Shard(self, shard).recover()


class _Shard:
    def __init__(self, recovery: Recovery, shard: str) -> None:
        self._recovery = recovery
        self._files = recovery.files
        self._fs = recovery.files.folder.fs
        self._shard = shard
        self._path = recovery.files.folder.shard(shard)
        self._named: set[QueueId] = set()
        self._known: set[QueueId] = set()
        self._has_new_names = False
        self._result = Recovered()

    def recover(self) -> Recovered:
        for stem, endings in self._stems().items():
            with_message = MESSAGE in endings
            try:
                self._read(stem, endings) if with_message else self._read_lone_log(stem)
            except RecordError as error:
                self._set_aside([stem + ending for ending in endings], str(error))
            except FileNotFoundError:
                continue  # an operator has just taken it away
            except OSError as error:
                if error.errno in _TRY_AGAIN:
                    raise
                self._result.unreadable.append((stem + (MESSAGE if with_message else LOG), str(error)))
        if self._has_new_names:
            self._files.sync_shard(self._shard)
        self._take_back_unnamed()
        return self._result

    def _stems(self) -> Mapping[str, Sequence[str]]:
        stems: dict[str, list[str]] = {}
        for name in sorted(self._fs.names(self._path), reverse=True):  # a message file before its log
            stem, ending = Path(name).stem, Path(name).suffix
            parts = self._recovery.ids.split(stem)
            if parts is not None and parts[0] >= self._recovery.first_number:
                continue
            kind = self._fs.status(self._path / name).kind
            if parts is None or ending not in (MESSAGE, LOG):
                self._set_aside([name], "not a file of this store")
            elif kind is not Kind.FILE:
                # with its message, if that is there: without a log it would be new, and go to everybody once more
                both = [name, *(stem + one for one in stems.pop(stem, ()))]
                what = "not a file" if kind is Kind.FOLDER else "neither a file nor a folder"
                self._set_aside(both, f"{name} is {what}")
            else:
                stems.setdefault(stem, []).append(ending)
        return stems

    def _read(self, stem: str, endings: Sequence[str]) -> None:
        found = read_both(self._fs, self._path / (stem + MESSAGE))
        acceptance = found.acceptance()
        foreign = [queue_id for queue_id in acceptance.messages if self._recovery.ids.split(queue_id) is None]
        if foreign:
            raise RecordError(f"{foreign[0]} is not an id of this store")
        if LOG not in endings:  # it was becoming visible, or an operator has put it back
            self._fs.close(self._fs.create(self._path / (stem + LOG)))
            self._has_new_names = True
        self._take_in(found.events)
        self._known.update(acceptance.messages)
        for message in acceptance.messages.values():
            message.restart()
        (self._result.over if acceptance.is_over else self._result.live).append(acceptance)

    def _read_lone_log(self, stem: str) -> None:
        path = self._path / (stem + LOG)
        events, _ = read_log(self._fs, path)
        if events and not events[-1].ends:
            raise RecordError("its message file is missing")
        self._take_in(events)
        if events and events[-1].remembered is not None:
            self._result.remembered.append((events[-1].remembered, path))
        else:
            self._fs.unlink(path)

    def _take_in(self, events: Sequence[Event]) -> None:
        for event in events:
            self._known.add(event.queue_id)
            if isinstance(event, Settled):
                self._named.update(event.notices)

    def _take_back_unnamed(self) -> None:
        for acceptance in list(self._unnamed()):
            self._files.withdraw(acceptance)
            self._result.live.remove(acceptance)

    def _unnamed(self) -> Iterator[Acceptance]:
        for acceptance in self._result.live:
            if acceptance.notice_of in self._known and self._named.isdisjoint(acceptance.messages):
                yield acceptance

    def _set_aside(self, names: Sequence[str], reason: str) -> None:
        self._recovery.quarantine.put(self._shard, names, reason)
        self._result.aside.append((names[0], reason))
