"""The plainest way to run a program again and again, so many at once: `posix_spawn`, and wait for whichever ends.

It is the yardstick for a relay that runs programs. The object on standard input has `commands`, each with `argv`,
`environment` and `stdin`, a file; `concurrency`; and `seconds`. A slot has commands of its own, as in `relay.py`.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from typing import Any


def main() -> None:
    want = json.load(sys.stdin)
    slots = [want["commands"][slot :: want["concurrency"]] for slot in range(want["concurrency"])]
    warm_up = loop([iter(commands) for commands in slots], end=float("inf"))
    before, begin = usage(), time.monotonic()
    made = loop([cycle(commands) for commands in slots], end=begin + want["seconds"])
    seconds, after = time.monotonic() - begin, usage()
    result = {
        "deliveries": made,
        "warm_up": warm_up,
        "seconds": seconds,
        "own_cpu_s": after[0] - before[0],
        "children_cpu_s": after[1] - before[1],
        "held_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(result))


def loop(slots: list[Iterator[dict[str, Any]]], *, end: float) -> int:
    """Keep all slots busy until the end, or until their commands are used up; returns how many have ended with 0."""
    running = {spawn(next(slot)): slot for slot in slots}
    made = 0
    while running:
        pid, status = os.waitpid(-1, 0)
        slot = running.pop(pid)
        if status != 0:
            raise RuntimeError(f"a process ended with wait status {status}")
        made += 1
        if time.monotonic() < end and (command := next(slot, None)) is not None:
            running[spawn(command)] = slot
    return made


def spawn(command: dict[str, Any]) -> int:
    return os.posix_spawn(
        command["argv"][0],
        command["argv"],
        command["environment"],
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, command["stdin"], os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
    )


def usage() -> tuple[float, float]:
    """CPU seconds of this process, and of its children that have ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
