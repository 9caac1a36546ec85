"""`edge_smtp` by itself: as the service runs it, but behind it is a handoff that only counts.

No queue, no storage and no relay; the log is that of the service, on the standard error.
Usage: edge_smtp.py PORT FOLDER. The folder is for the bodies of large messages. SIGTERM ends it.
"""

# ruff: noqa: E402 - as in the service, everything is imported after the patch
from gevent import monkey

monkey.patch_all()

import gc
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import gevent
from gevent.event import Event

import mdacore_edge_smtp
from mdacore import Chain, EdgeContext, Envelope, Reply
from mdacore.log import configure, get_log
from mdacore.runtime import SystemClock

ACCEPTED = Reply(code=250, enhanced="2.0.0", text="Ok: queued as q000000001")
INSTANCE = "edges.mx"
MANY = 1_000_000  # a limit that no measurement reaches
FLUSH_S = 1.0


class CountingHandoff:
    """A queue that says yes to everything, and forgets it."""

    is_proxy = False

    def __init__(self, spool_path: Path) -> None:
        self.spool_path: Path | None = spool_path
        self.accepted_count = 0

    def refusal(self, size_bytes: int) -> Reply | None:  # noqa: ARG002 - the contract's signature
        return None

    def accept(self, envelope: Envelope) -> Sequence[Reply]:
        self.accepted_count += 1
        return (ACCEPTED,) * len(envelope.recipients)


def main() -> None:
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    sink = configure(level="info", style="json", stream=sys.stderr)
    handoff = CountingHandoff(folder)
    edge = build(port, handoff)
    asked_to_stop = Event()
    gevent.signal_handler(signal.SIGTERM, asked_to_stop.set)
    edge.bind()
    edge.start()
    gc.collect()
    gc.freeze()  # as the service does once it has started
    while not asked_to_stop.wait(FLUSH_S):
        sink.flush()
    edge.stop()
    get_log(INSTANCE).info("bench.handed_off", accepted_count=handoff.accepted_count)
    sink.flush()


def build(port: int, handoff: CountingHandoff) -> mdacore_edge_smtp.SmtpEdge:
    """As the service would, from the plugin's own provider."""
    provider = next(each for each in mdacore_edge_smtp.mdacore_edges() if each.kind == "smtp")
    config = provider.config(
        listen=(f"127.0.0.1:{port}",),
        domains=("example.test",),
        max_sessions=MANY,  # the others do not hold for the loopback
        max_messages=MANY,
    )
    context = EdgeContext(
        instance=INSTANCE,
        state_path=Path(sys.argv[2]),
        hostname="mx.example.test",
        clock=SystemClock(),
        log=get_log(INSTANCE),
        handoff=handoff,
        validators=Chain(),
    )
    return provider.build(config, context)


if __name__ == "__main__":
    main()
