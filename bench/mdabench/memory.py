"""What a server holds in memory (Linux, /proc), all its processes together: resident pages, of its libraries, too.

What many connections or a large message cost is a difference, in which the libraries are not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mdabench.server import Failed, Server

_FORGET_PEAK = "5"  # proc_pid_clear_refs(5)


def held_bytes(server: Server) -> int:
    """Resident now."""
    return _sum(server, "VmRSS:")


def peak_bytes(server: Server) -> int:
    """The most that has been resident since `forget_peak`; of several processes, the sum of each one's own peak."""
    return _sum(server, "VmHWM:")


def forget_peak(server: Server) -> None:
    """Start anew, with what is resident now. Raises Failed where the kernel cannot do that."""
    for process in _processes(server.session):
        try:
            (process / "clear_refs").write_text(_FORGET_PEAK)
        except OSError as error:
            raise Failed(f"the kernel does not reset a process's peak memory: {error}") from None


def _sum(server: Server, field: str) -> int:
    server.must_run()
    return sum(_kilobytes(process / "status", field) for process in _processes(server.session)) * 1024


def _kilobytes(status: Path, field: str) -> int:
    lines = status.read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(field)), 0)  # a zombie has none


def _processes(session: int) -> Iterator[Path]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(ProcessLookupError):  # it ended while we looked
                if os.getsid(int(folder.name)) == session:
                    yield folder
