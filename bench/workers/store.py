"""A storage of mdacore by itself: so many greenlets, each of which writes one message after the other.

There is no edge and no queue: what is measured is the storage, with its threads, on the event loop of the service. The
object on standard input has the storage's `kind` and `path`; a `message`; `mailboxes`; `callers`; `seconds`; and
`settles`: whether each message is also settled as delivered, or stays.
"""

# ruff: noqa: E402 - as in the service, everything is imported after the patch
from gevent import monkey

monkey.patch_all()

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import gevent
from storages import QUEUE, new_message, started

from mdacore import Claim, Closing, Outcome, QueueStorage, Reply, Settlement

DELIVERED = Closing(outcome=Outcome.DELIVERED, reply=Reply(code=250, enhanced="2.0.0", text="Ok"))
SETTLEMENT = Settlement(closed={0: DELIVERED})
WARM_UP_S = 0.5
LATER_S = 86_400.0


def main() -> None:
    want = json.load(sys.stdin)
    with started(want["kind"], Path(want["path"])) as storage:
        warm_up = load(storage, want, WARM_UP_S)
        before_s, begin = cpu_s(), time.monotonic()
        latencies = sorted(load(storage, want, want["seconds"]))
        seconds, used_s = time.monotonic() - begin, cpu_s() - before_s
    print(
        json.dumps(
            {
                "messages": len(latencies),
                "warm_up": len(warm_up),
                "seconds": seconds,
                "cpu_s": used_s,
                "p50_ms": latencies[len(latencies) // 2] * 1e3,
                "p99_ms": latencies[len(latencies) * 99 // 100] * 1e3,
            }
        )
    )


def load(storage: QueueStorage, want: dict[str, Any], seconds: float) -> list[float]:
    """How long each write took, in seconds."""
    latencies: list[float] = []
    end = time.monotonic() + seconds
    callers = [gevent.spawn(call, storage, want, number, end, latencies) for number in range(want["callers"])]
    gevent.joinall(callers, raise_error=True)
    return latencies


def call(storage: QueueStorage, want: dict[str, Any], number: int, end: float, latencies: list[float]) -> None:
    """One caller, until the time is over; at least once."""
    text, address = want["message"].encode(), want["mailboxes"][number % len(want["mailboxes"])]
    while True:
        begin = time.monotonic()
        message = new_message(text, address, due_at=time.time() + LATER_S, claim=want["settles"])
        (given,) = storage.write([message], queue=QUEUE)
        now = time.monotonic()
        latencies.append(now - begin)
        if isinstance(given, Claim):
            storage.settle(given, SETTLEMENT)
        if now >= end:
            return


def cpu_s() -> float:
    """CPU seconds of this process."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


if __name__ == "__main__":
    main()
