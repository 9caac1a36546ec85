"""The load generator (`load/load.c`): built at first use, run as a process, its one line of JSON read.

It is in C because it must cost far less than the server that it loads, on the same machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mdabench.cases import Case

BENCH = Path(__file__).resolve().parent.parent
SOURCE = BENCH / "load" / "load.c"
BUILD = BENCH.parent / "build" / "bench"  # ignored by git
COMPILE = ("cc", "-O2", "-std=c99", "-Wall", "-Wextra")
GRACE_S = 10.0


class Unavailable(Exception):
    """Something that a measurement needs is not on this machine; the text says how to get it."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the generator saw. Latency is that of the reply to the final dot; `seconds` ends with the last of these.

    `reply_p99_ms` is that of all replies but those to the connection itself and to QUIT.
    """

    messages: int
    seconds: float
    rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    reply_p99_ms: float
    connections: int
    cpu_s: float
    errors: int
    first_error: str


def run(port: int, case: Case, *, messages: int, limit_s: float) -> Outcome:
    """Send ``messages`` to the server on the loopback port, for `limit_s` at most. Errors are in the outcome."""
    command = [str(build()), "-p", str(port), "-m", str(messages), "-t", str(limit_s), *_options(case)]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=limit_s + GRACE_S, check=False)
    return Outcome(**json.loads(done.stdout))


def _options(case: Case) -> list[str]:
    options = ["-s", str(case.sessions), "-b", str(case.size_bytes), "-c", str(case.messages_a_connection)]
    return [*options, "-P"] if case.is_pipelined else options


def build() -> Path:
    """The generator's program. Raises Unavailable."""
    return compiled(SOURCE)


def compiled(source: Path, *options: str) -> Path:
    """What the compiler makes of this file, unless that was done for this very text. Raises Unavailable."""
    command = [*COMPILE, *options]
    name = hashlib.sha256(source.read_bytes() + repr(command).encode()).hexdigest()[:12]
    made = BUILD / f"{source.stem}-{name}"
    if made.exists():
        return made
    if shutil.which(COMPILE[0]) is None:
        raise Unavailable(f"{source.name} needs a C compiler: apt-get install gcc libc6-dev")
    BUILD.mkdir(parents=True, exist_ok=True)
    unfinished = made.with_suffix(f".{os.getpid()}")  # somebody else may be building, too
    subprocess.run([*command, "-o", str(unfinished), str(source)], check=True)
    return unfinished.replace(made)
