"""The message as a program reads it: a file at its start, with the fields of final delivery on top.

Invariants: nothing of what was received is changed but its line ends, where so configured; what is large is read and
written in a thread, so the hub never waits for a disk; a large message never lies in memory, and its file has no name.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar, cast

import gevent
from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

from mdacore import Content, printable, with_lf

T = TypeVar("T")

_STOP_S = 2.0
_MAX_ADDRESS_CHARS = 900
"""With the field's name below the 998 of RFC 5322 §2.1.1; an edge takes far less (RFC 5321 §4.5.3.1)."""


class Messages:
    """Makes the files that programs read.

    Attributes:
        folder: where large messages lie while they are delivered; not a file system in memory.
        memory_max_bytes: what is larger is a file there.
        threads: how many large ones are written at once.
    """

    def __init__(self, folder: Path, *, memory_max_bytes: int, threads: int, has_lf: bool) -> None:
        self._folder = folder
        self._memory_max_bytes = memory_max_bytes
        self._threads = threads
        self._has_lf = has_lf
        self._pool: ThreadPool | None = None

    def start(self) -> None:
        """Make the folder and the threads. Raises OSError if the folder cannot be made."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._pool = ThreadPool(self._threads)

    def stop(self) -> None:
        """End the threads; one that hangs on a dead disk is left alone."""
        pool, self._pool = self._pool, None
        if pool is not None:
            gevent.with_timeout(_STOP_S, pool.kill, timeout_value=None)

    def open(self, content: Content) -> int:
        """A descriptor of the message, positioned at its start; it is the caller's. Blocks this greenlet only.

        Raises:
            OSError: the message could not be read, or not be written again.
        """
        if self._is_small(content):
            return self._written(os.memfd_create("message"), content)
        return self._in_thread(lambda: self._written(_nameless_file(self._folder), content), or_else=os.close)

    def delivered_to(self, content: Content) -> frozenset[str]:
        """Whom the message says it was delivered to before, as `loop_key` has it. Blocks and raises as `open` does."""
        if self._is_small(content):
            return _delivered_to(content)
        return self._in_thread(lambda: _delivered_to(content))

    def _is_small(self, content: Content) -> bool:
        return content.body.size_bytes <= self._memory_max_bytes

    def _written(self, fd: int, content: Content) -> int:
        try:
            chunks = content.chunks()
            _write_all(fd, with_lf(chunks) if self._has_lf else chunks)
            os.lseek(fd, 0, os.SEEK_SET)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _in_thread(self, function: Callable[[], T], *, or_else: Callable[[T], object] = lambda _: None) -> T:
        """Call in a thread. If whoever waits is interrupted, what comes out in the end is given to `or_else`."""
        if self._pool is None:
            raise OSError("stopped")
        pending: AsyncResult[T | OSError] = self._pool.spawn(_result_or_error, function)
        try:
            result = pending.get()
        except BaseException:
            pending.rawlink(lambda done: None if isinstance(done.value, OSError) else or_else(cast(T, done.value)))
            raise
        if isinstance(result, OSError):
            raise result
        return cast(T, result)


def with_fields(content: Content, *, return_path: str | None, delivered_to: str | None) -> Content:
    """The content under the fields of final delivery (RFC 5321 §4.4); None = without that one."""
    if delivered_to is not None:
        content = content.prepend(_field("Delivered-To", delivered_to))
    if return_path is not None:
        content = content.prepend(_field("Return-Path", f"<{return_path}>"))
    return content


def loop_key(address: str) -> str:
    """Equal for two spellings of one recipient. Case never counts here: a loop that is missed has no end."""
    return "".join(address.split()).removeprefix("<").removesuffix(">").removesuffix(".").casefold()


def _delivered_to(content: Content) -> frozenset[str]:
    return frozenset(loop_key(value.decode("utf-8", "replace")) for value in content.fields(b"Delivered-To"))


def _field(name: str, value: str) -> bytes:
    return f"{name}: {printable(value, _MAX_ADDRESS_CHARS)}\r\n".encode()


def _nameless_file(folder: Path) -> int:
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        return os.dup(file.fileno())


def _write_all(fd: int, chunks: Iterable[bytes]) -> None:
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            view = view[os.write(fd, view) :]


def _result_or_error(function: Callable[[], T]) -> T | OSError:
    """In the thread: gevent prints whatever a thread raises."""
    try:
        return function()
    except OSError as error:
        return error
