"""The format of exported messages: for each ``<id>.eml`` and ``<id>.json``, in a folder or in a tar file.

The ``.eml`` holds the octets of the message as a relay would get them, with CRLF; the ``.json``, which comes after it,
the envelope and what an operator has to know, as `Exported` says, with ``"mdacore-export": 1`` first.
Invariant: a ``.json`` is there only if its ``.eml`` is whole; nothing outside the folder is written or read, whatever
the names in a tar file are.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Protocol, cast

import attrs

from mdacore.words import Body, Envelope, FileBody
from mdacore.words.transfer import NotAnEnvelope, envelope_facts, envelope_of

VERSION: Final = 1
MARK: Final = "mdacore-export"
FACTS_MAX_BYTES: Final = 16 * 2**20
_COPY_SIZE_BYTES: Final = 1_048_576


class BadExport(Exception):
    """One of the messages cannot be read; the text says which and why. The others are not concerned."""


@attrs.frozen(kw_only=True)
class Exported:
    """One message outside of any queue.

    Attributes:
        queue_id: where it was; also what it is recognised by when it is imported twice.
        queue: the name of its queue there.
        held: why it was held; ``""`` = it was not.
        due_at: epoch seconds of its next attempt there.
        attempts: made there.
    """

    queue_id: str
    queue: str
    held: str
    due_at: float
    attempts: int
    envelope: Envelope


class Sink(Protocol):
    """Where messages are written."""

    def add(self, message: Exported) -> None:
        """Raises OSError, FileExistsError."""


def facts_of(message: Exported, size_bytes: int) -> bytes:
    """The ``.json``."""
    facts = {
        MARK: VERSION,
        **{key.name: getattr(message, key.name) for key in attrs.fields(Exported) if key.name != "envelope"},
        "size_bytes": size_bytes,
        "envelope": envelope_facts(message.envelope),
    }
    return json.dumps(facts, indent=2).encode("ascii") + b"\n"


def exported_of(file: IO[bytes], body: Body) -> Exported:
    """The message of a ``.json``. Raises BadExport."""
    octets = file.read(FACTS_MAX_BYTES + 1)
    try:
        facts: Any = json.loads(octets[:FACTS_MAX_BYTES])
        if not isinstance(facts, dict) or facts.get(MARK) is None:
            raise BadExport("is not of an exported message")
        if facts[MARK] != VERSION:
            raise BadExport(f"is of version {facts[MARK]!r}; this program reads version {VERSION}")
        if facts["size_bytes"] != body.size_bytes:
            raise BadExport(f"speaks of {facts['size_bytes']} octets, and the message has {body.size_bytes}")
        return Exported(
            queue_id=str(facts["queue_id"]),
            queue=str(facts["queue"]),
            held=str(facts["held"]),
            due_at=float(facts["due_at"]),
            attempts=int(facts["attempts"]),
            envelope=envelope_of(facts["envelope"], body),
        )
    except (KeyError, TypeError, ValueError, RecursionError, NotAnEnvelope) as error:
        raise BadExport(f"cannot be read: {error!r}") from error


class FolderSink:
    """A folder; made if it is missing. A message that is there already is an error."""

    def __init__(self, path: Path) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path

    def add(self, message: Exported) -> None:
        size_bytes = 0
        with self._new(f"{message.queue_id}.eml") as file:
            for piece in message.envelope.content.chunks():
                size_bytes += file.write(piece)
        with self._new(f"{message.queue_id}.json") as file:
            file.write(facts_of(message, size_bytes))

    def sync(self) -> None:
        """Make the files' names durable; the files are by now."""
        fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    @contextmanager
    def _new(self, name: str) -> Iterator[IO[bytes]]:
        """A file that appears under its name when it is whole and on the disk."""
        path = self._path / name
        if path.exists():
            raise FileExistsError(f"{path} is there already")
        fd, temporary = tempfile.mkstemp(dir=self._path, prefix=".new-")
        try:
            with os.fdopen(fd, "wb") as file:
                yield file
                file.flush()
                os.fsync(fd)
            Path(temporary).rename(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


class TarSink:
    """A tar file that is being written to a stream."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive

    def add(self, message: Exported) -> None:
        with tempfile.SpooledTemporaryFile(max_size=_COPY_SIZE_BYTES) as file:  # a tar has the size first
            for piece in message.envelope.content.chunks():
                file.write(piece)
            size_bytes = file.tell()
            file.seek(0)
            self._add(f"{message.queue_id}.eml", size_bytes, cast(IO[bytes], file))
        octets = facts_of(message, size_bytes)
        self._add(f"{message.queue_id}.json", len(octets), io.BytesIO(octets))

    def _add(self, name: str, size_bytes: int, file: IO[bytes]) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size_bytes, 0o600
        self._archive.addfile(info, file)
        _forget_names(self._archive)


def messages_in_folder(path: Path) -> Iterator[tuple[str, Exported | BadExport]]:
    """Every message of a folder, with the name of its ``.json``, in the order of their ids."""
    for facts in sorted(path.glob("*.json")):
        body = facts.with_suffix(".eml")
        try:
            with facts.open("rb") as file:
                yield facts.name, exported_of(file, FileBody(body, body.stat().st_size))
        except BadExport as error:
            yield facts.name, error
        except FileNotFoundError as error:
            yield facts.name, BadExport(f"lacks {error.filename}")


def messages_in_tar(stream: IO[bytes], folder: Path) -> Iterator[tuple[str, Exported | BadExport]]:
    """Every message of a tar file; each is in `folder` until the next one is asked for. Raises tarfile.TarError."""
    body_name, body = "", folder / "message.eml"
    with tarfile.open(fileobj=stream, mode="r|*") as archive:
        while (member := archive.next()) is not None:
            file = archive.extractfile(member) if member.isreg() else None
            if file is None:
                continue
            stem, _, ending = member.name.rpartition(".")
            if ending == "eml":
                body_name = stem
                _copy(file, body)
            elif ending == "json" and stem == body_name:
                yield member.name, _one_of_tar(file, body)
            elif ending == "json":
                yield member.name, BadExport("does not come right after its message")
            _forget_names(archive)


def _one_of_tar(file: IO[bytes], body: Path) -> Exported | BadExport:
    try:
        return exported_of(file, FileBody(body, body.stat().st_size))
    except BadExport as error:
        return error


def _copy(source: Iterable[bytes] | IO[bytes], path: Path) -> None:
    with path.open("wb") as target:
        while piece := cast(IO[bytes], source).read(_COPY_SIZE_BYTES):
            target.write(piece)


def _forget_names(archive: tarfile.TarFile) -> None:
    """It would keep an object for each that it has read or written."""
    cast(Any, archive).members = []  # what the module's documentation of streams leaves out, in all versions so far
