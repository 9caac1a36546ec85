"""A relay of mdacore by itself: so many greenlets, each of which makes one attempt after the other.

There is no queue and no storage: what is measured is the relay, on the event loop and with the log that it has in the
service. The object on standard input has `kind` and `config` of the relay, `state`, a folder; `mailboxes`; a `message`;
`concurrency`; `seconds` or, if that is 0, `deliveries` to make; and `ballast_bytes` to hold in memory meanwhile.
"""

# ruff: noqa: E402 - as in the service, everything is imported after the patch
from gevent import monkey

monkey.patch_all()

import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from itertools import cycle
from pathlib import Path
from typing import Any

import gevent

from mdacore import Attempt, Content, Context, Envelope, MemoryBody, QueueId, Recipient, Relay
from mdacore.log import configure, get_log
from mdacore.runtime import SystemClock

PLUGINS = {"dovecot_lda": "mdacore_relay_lda", "pipe": "mdacore_relay_lda", "maildir": "mdacore_relay_maildir"}
AS: dict[str, Callable[[Any], object]] = {"path": Path, "command": tuple, "extra_args": tuple}  # unlike in JSON
DEADLINE_S = 300.0
ATTEMPT = Attempt(queue_id=QueueId("q000000001"), queue="main", number=1, deadline_s=DEADLINE_S)


def main() -> None:
    want = json.load(sys.stdin)
    ballast = bytearray(b"x") * want["ballast_bytes"]  # written to, or it would not be in memory
    sink = configure(level="info", style="json", stream=sys.stderr)
    relay = build(want)
    relay.start()
    try:
        print(json.dumps(measured(relay, want)))
    finally:
        relay.stop()
        sink.flush()
    del ballast


def build(want: dict[str, Any]) -> Relay:
    """As the service would, from the plugin's own provider."""
    plugin = import_module(PLUGINS[want["kind"]])
    provider = next(each for each in plugin.mdacore_relays() if each.kind == want["kind"])
    config = {key: AS.get(key, type(value))(value) for key, value in want["config"].items()}
    context = Context(
        instance="relays.local",
        state_path=Path(want["state"]),
        hostname="mx.example.test",
        clock=SystemClock(),
        log=get_log("relays.local"),
    )
    relay: Relay = provider.build(provider.config(**config), context)
    return relay


def measured(relay: Relay, want: dict[str, Any]) -> dict[str, float]:
    """Warm up with one delivery into each mailbox, and then load it."""
    attempts = Attempts(relay, want["message"].encode(), want["mailboxes"])
    slots = range(want["concurrency"])
    run_all([partial(attempts.once_each, slot, len(slots)) for slot in slots])
    before, begin = usage(), time.monotonic()
    attempts.start(seconds=want["seconds"], deliveries=want["deliveries"])
    run_all([partial(attempts.until_done, slot, len(slots)) for slot in slots])
    seconds, after = time.monotonic() - begin, usage()
    made = attempts.made
    return {
        "deliveries": made,
        "warm_up": len(want["mailboxes"]),
        "seconds": seconds,
        "own_cpu_s": after[0] - before[0],
        "children_cpu_s": after[1] - before[1],
        "held_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


class Attempts:
    """What the slots share: what is left to do. A slot has mailboxes of its own, so that none waits for another."""

    def __init__(self, relay: Relay, message: bytes, mailboxes: list[str]) -> None:
        self.made = 0
        self._begun = 0
        self._relay = relay
        self._message = message
        self._mailboxes = mailboxes
        self._end = 0.0
        self._limit = 0

    def start(self, *, seconds: float, deliveries: int) -> None:
        """Begin to count."""
        self.made = self._begun = 0
        self._limit = deliveries
        self._end = time.monotonic() + seconds if seconds else float("inf")

    def once_each(self, slot: int, slots: int) -> None:
        """To each of its mailboxes."""
        for address in self._mailboxes[slot::slots]:
            self._deliver(address)

    def until_done(self, slot: int, slots: int) -> None:
        """Round and round."""
        for address in cycle(self._mailboxes[slot::slots]):
            if time.monotonic() >= self._end or (self._limit and self._begun >= self._limit):
                return
            self._begun += 1
            self._deliver(address)
            self.made += 1

    def _deliver(self, address: str) -> None:
        envelope = Envelope(
            sender="sender@example.org",
            recipients=(Recipient(number=1, address=address),),
            content=Content(MemoryBody(self._message)),
            received_at=time.time(),
        )
        reply = self._relay.attempt(envelope, ATTEMPT)[1]
        if not reply.is_success:
            raise RuntimeError(f"not delivered to {address}: {reply}")


def run_all(functions: list[Callable[[], None]]) -> None:
    """Each in a greenlet; raises what one of them raised."""
    gevent.joinall([gevent.spawn(function) for function in functions], raise_error=True)


def usage() -> tuple[float, float]:
    """CPU seconds of this process, and of its children that have ended."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime, children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
