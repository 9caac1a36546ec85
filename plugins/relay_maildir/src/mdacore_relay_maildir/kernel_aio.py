"""Linux's asynchronous I/O, as far as it syncs: many descriptors in one call, each by a thread of the kernel's own.

Python has no other way to wait for twenty syncs than twenty threads, and those fight for its lock at every turn. The
numbers and structures in here are the kernel's binary interface (io_setup(2), io_submit(2), ``linux/aio_abi.h``; syncs
since Linux 4.18), which never changes. What to do where it is missing is not in here (`syncs`). No gevent here.
Invariant: a call ends when the kernel has done with every descriptor that it took.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Mapping, Sequence
from errno import EINTR, ENOSYS
from typing import Final

MAX_SYNCS: Final = 128
"""In one call. The kernel has room for 65536 of all processes (``fs.aio-max-nr``) unless it was told otherwise."""

_NUMBERS: Final[Mapping[str, tuple[int, int, int, int]]] = {"x86_64": (206, 207, 208, 209), "aarch64": (0, 1, 4, 2)}
"""Of the system calls: io_setup, io_destroy, io_getevents, io_submit."""

_FSYNC: Final = 2
_CONTROL_BLOCK: Final = struct.Struct("<QIiHhIQQqQII")
"""data, key, rw_flags, opcode, reqprio, fildes, buf, nbytes, offset, reserved, flags, resfd."""

_EVENT: Final = struct.Struct("<QQqq")
"""data, obj, res, res2."""


class KernelAio:
    """A context of the kernel's, for one thread at a time.

    Raises:
        OSError: there is no such thing (ENOSYS), it is forbidden, or too many are in use already (EAGAIN).
    """

    def __init__(self) -> None:
        machine = os.uname().machine if sys.platform == "linux" and sys.maxsize > 2**32 else ""
        if machine not in _NUMBERS:
            raise OSError(ENOSYS, os.strerror(ENOSYS))
        self._setup, self._destroy, self._get_events, self._submit = _NUMBERS[machine]
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype = ctypes.c_long
        self._context = ctypes.c_ulong()
        self._call(self._setup, ctypes.c_long(MAX_SYNCS), ctypes.byref(self._context))

    def fsync(self, fds: Sequence[int]) -> dict[int, OSError | None]:
        """Sync them all at once; gives what became of each that the kernel has taken, which may be none. Blocks.

        At most `MAX_SYNCS`, each a different one. What is not taken cannot be synced in this way.
        """
        blocks = ctypes.create_string_buffer(b"".join(map(_block, fds)))
        first = ctypes.addressof(blocks)
        pointers = (ctypes.c_void_p * len(fds))(*range(first, first + len(blocks) - 1, _CONTROL_BLOCK.size))
        try:
            taken = self._call(self._submit, self._context, ctypes.c_long(len(fds)), pointers)
        except OSError:
            return {}
        return self._outcomes(taken)

    def close(self) -> None:
        """Give it back to the kernel."""
        self._call(self._destroy, self._context)

    def _outcomes(self, taken: int) -> dict[int, OSError | None]:
        outcomes: dict[int, OSError | None] = {}
        events = ctypes.create_string_buffer(_EVENT.size * taken)
        while missing := taken - len(outcomes):
            wanted = ctypes.c_long(missing)
            try:
                count = self._call(self._get_events, self._context, wanted, wanted, events, None)
            except OSError as error:
                if error.errno == EINTR:
                    continue
                raise
            outcomes.update(outcomes_in(events.raw[: _EVENT.size * count]))
        return outcomes

    def _call(self, number: int, *args: object) -> int:
        result: int = self._syscall(ctypes.c_long(number), *args)
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result


def outcomes_in(events: bytes) -> dict[int, OSError | None]:
    """What the kernel's events say: a descriptor, and its error, if any. Pure."""
    return {fd: OSError(-res, os.strerror(-res)) if res < 0 else None for fd, _, res, _ in _EVENT.iter_unpack(events)}


def _block(fd: int) -> bytes:
    return _CONTROL_BLOCK.pack(fd, 0, 0, _FSYNC, 0, fd, 0, 0, 0, 0, 0, 0)
