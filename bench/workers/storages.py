"""A storage of mdacore by itself, for the workers that write to it: built by its plugin's provider, as in a service."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from mdacore import Content, Context, Envelope, MemoryBody, NewMessage, QueueStorage, Recipient
from mdacore.log import configure, get_log
from mdacore.runtime import SystemClock

QUEUE = "main"
LANE = "local/"  # the relay is named local, and its destination is nowhere


@contextlib.contextmanager
def started(kind: str, path: Path) -> Iterator[QueueStorage]:
    """In this folder, until the end of the block."""
    provider = next(iter(import_module(f"mdacore_storage_{kind}").mdacore_storages()))
    sink = configure(level="info", style="json", stream=sys.stderr)
    context = Context(
        instance="storages.spool",
        state_path=path.parent,
        hostname="mx.example.test",
        clock=SystemClock(),
        log=get_log("storages.spool"),
    )
    storage: QueueStorage = provider.build(provider.config(path=path), context)
    storage.start()
    try:
        yield storage
    finally:
        storage.stop()
        sink.flush()


def new_message(text: bytes, address: str, *, due_at: float, claim: bool = False) -> NewMessage:
    """One with a body of its own: what several messages share is stored once."""
    envelope = Envelope(
        sender="sender@example.org",
        recipients=(Recipient(number=0, address=address),),
        content=Content(MemoryBody(text)),
        received_at=time.time(),
    )
    return NewMessage(envelope=envelope, lane=LANE, due_at=due_at, claim=claim)
