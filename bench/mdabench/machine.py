"""What the kernel says about time spent (Linux, /proc), and waiting until little of it is."""

from __future__ import annotations

import fcntl
import os
import platform
import secrets
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mdabench.load import Unavailable

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
STEP_S = 0.25
REST_SHARE = 0.1  # of one core
DISK = Path("/var/tmp")  # noqa: S108 - the one temporary folder that is meant to be on a disk; we make a private one in it
IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_GET_FLAGS, _SET_FLAGS, _TOP_OF_TREES = 0x80086601, 0x40086602, 0x00020000  # ioctl_iflags(2), FS_TOPDIR_FL


def machine_cpu_s() -> float:
    """CPU seconds that all cores together have been busy since the machine started, without what a host took away."""
    user, nice, system, _idle, _iowait, irq, softirq = map(int, _words(Path("/proc/stat"))[1:8])
    return (user + nice + system + irq + softirq) / TICKS_A_SECOND


def session_cpu_s(session: int) -> float:
    """CPU seconds of all processes of one process session, with their children that have ended and were waited for."""
    ticks = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            ticks += _ticks(folder / "stat", session)
    return ticks / TICKS_A_SECOND


def _ticks(stat: Path, session: int) -> int:
    try:
        fields = stat.read_text(errors="replace").rpartition(")")[2].split()  # the name before it may hold spaces
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it ended while we looked; its parent has counted it
    return sum(map(int, fields[11:15])) if int(fields[3]) == session else 0


def session_read_bytes(session: int) -> int:
    """What all processes of one process session have read from disks, not from the page cache (proc(5), ``io``)."""
    read = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(FileNotFoundError, ProcessLookupError):  # it ended while we looked
                if os.getsid(int(folder.name)) == session:
                    lines = (folder / "io").read_text().splitlines()
                    read += next(int(line.split()[1]) for line in lines if line.startswith("read_bytes:"))
    return read


def wait_for_rest(cpu_s: Callable[[], float], *, limit_s: float) -> bool:
    """Return when this clock of CPU time almost stands still; False if it did not within the limit."""
    end = time.monotonic() + limit_s
    before = cpu_s()
    while time.monotonic() < end:
        time.sleep(STEP_S)
        after = cpu_s()
        if after - before < REST_SHARE * STEP_S:
            return True
        before = after
    return False


def file_system(path: Path) -> str:
    """The type of the file system that holds this folder, as the kernel names it."""
    real = path.resolve()
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    holding = [(len(point), kind) for point, kind in mounts if real.is_relative_to(point)]
    return max(holding)[1]


def durable(folder: Path) -> Path:
    """The folder, unless it is in memory, where a sync costs nothing. Raises Unavailable."""
    if not folder.is_dir():
        raise Unavailable(f"{folder} is not a folder")
    kind = file_system(folder)
    if kind in IN_MEMORY:
        raise Unavailable(f"{folder} is in memory ({kind}); give --data a folder on a disk")
    return folder.resolve()


def scatter(folder: Path) -> None:
    """Have each `place` in this folder put somewhere else on the disk, where the file system can do that (ext4).

    ext4 does not use the number of a deleted file again for five minutes and looks at each of them whenever it makes a
    new file near by. So after a run, or a test, that has deleted thousands, making files there is ten times slower.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # another file system
            (flags,) = struct.unpack("l", fcntl.ioctl(fd, _GET_FLAGS, bytes(struct.calcsize("l"))))
            fcntl.ioctl(fd, _SET_FLAGS, struct.pack("l", flags | _TOP_OF_TREES))
    finally:
        os.close(fd)


def place(folder: Path, name: str) -> Path:
    """A new folder; the disk's part is chosen by the whole name, so this makes one that never was there before."""
    path = folder / f"{name}-{secrets.token_hex(4)}"
    path.mkdir(mode=0o755)
    return path


def described(data: Path) -> str:
    """The machine in one line, for the head of a report."""
    cpu = next((line.partition(": ")[2] for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "")
    return ", ".join(
        part
        for part in (
            f"{os.cpu_count()} cores",
            cpu,
            f"Linux {platform.release()}",
            f"{file_system(data)} at {data}",
            f"Python {platform.python_version()} ({Path(sys.executable).resolve()})",
        )
        if part
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _words(path: Path) -> list[str]:
    with path.open() as file:
        return file.readline().split()
