"""A whole service in this process's memory: assembled as `mdacore run` would, driven and looked at by a test.

Nothing is patched, so a plugin that uses gevent's own modules runs as in production, and one that relies on the patch
is found out. Not in here: signals, privileges and the process's log file.
"""

from __future__ import annotations

import contextlib
import smtplib
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import gevent

from mdacore.assembly import Assembly
from mdacore.contracts import Change, Query, QueueEntry, QueueStorage, Relay, State
from mdacore.runtime import SystemClock
from mdacore.testing.kinds import kinds_for_tests
from mdacore.testing.logs import CapturedLog
from mdacore.testing.messages import MESSAGE
from mdacore.testing.relay import ScriptedRelay
from mdacore.words import Envelope, Reply

PATIENCE_S = 60.0
POLL_S = 0.002
Tables = Mapping[str, Mapping[str, Mapping[str, object]]]
"""Role, instance, key: ``{"relays": {"local": {"kind": "scripted"}}}``."""

_LEFT_OUT: Tables = {
    "edges": {"direct": {"kind": "direct"}},
    "storages": {"spool": {"kind": "memory"}},
    "relays": {"local": {"kind": "scripted"}},
    "queues": {"main": {}},
}


@attrs.frozen(kw_only=True)
class AssembledService:
    """A service that runs.

    Attributes:
        assembly: its components by their labels, ``"relays.local"``.
        log: what it logs.
        state_path: its state folder.
    """

    assembly: Assembly
    log: CapturedLog
    state_path: Path

    def send(self, envelope: Envelope, *, queue: str = "main") -> Sequence[Reply]:
        """Hand a message to a queue as an edge does: one reply for each recipient. Blocks as `Handoff.accept` does."""
        return self.assembly.queues[f"queues.{queue}"].accept(envelope)

    def send_smtp(
        self, *addresses: str, sender: str = "alice@example.org", message: bytes = MESSAGE, edge: str = ""
    ) -> Mapping[str, Reply]:
        """Send a message over SMTP, to the first address of the edge (by default the first that has one).

        Returns the replies to the recipients that were refused. Raises what `smtplib` does when nothing was accepted.
        """
        host, port = self.address(edge)

        def send() -> Mapping[str, tuple[int, bytes]]:
            with smtplib.SMTP(host, port, timeout=PATIENCE_S) as client:
                return client.sendmail(sender, addresses, message)

        refused = gevent.get_hub().threadpool.apply(send)  # smtplib would block the hub: nothing is patched
        return {address: Reply.parse(f"{code} {text.decode()}") for address, (code, text) in refused.items()}

    def address(self, edge: str = "") -> tuple[str, int]:
        """Host and port that an edge listens at; without a name, of the first edge that listens at all."""
        edges = [self.assembly.edges[f"edges.{edge}"]] if edge else self.assembly.edges.values()
        host, _, port = next(address for one in edges for address in one.addresses).rpartition(":")
        return host.strip("[]"), int(port)

    def seen(self, relay: str = "local") -> list[Envelope]:
        """What a scripted relay was given, attempt by attempt."""
        component = self.assembly.relays[f"relays.{relay}"]
        if not isinstance(component, ScriptedRelay):
            raise TypeError(f"relays.{relay} is no ScriptedRelay: {component!r}")
        return [envelope for envelope, _ in component.attempts]

    def entries(self) -> list[QueueEntry]:
        """Everything that is queued, in all storages."""
        return [entry for storage in self.assembly.storages.values() for entry in storage.entries(Query())]

    def make_due(self) -> int:
        """Let what waits for its next attempt be attempted now, as an operator can; returns how many."""
        waiting = Query(states=[State.DUE])
        return sum(len(storage.amend(waiting, Change.DUE_NOW)) for storage in self.assembly.storages.values())

    def wait_until_idle(self, timeout_s: float = PATIENCE_S) -> None:
        """Block until nothing is attempted and nothing is due: the rest is held, or waits for a later attempt.

        Raises AssertionError, with what is still going on, after `timeout_s`.
        """
        ends_at = time.monotonic() + timeout_s
        while at_work := self._at_work():
            if time.monotonic() > ends_at:
                raise AssertionError(f"not idle after {timeout_s} s: {'; '.join(at_work)}")
            gevent.sleep(POLL_S)

    def _at_work(self) -> list[str]:
        unsettled = {
            label: count
            for label, queue in self.assembly.queues.items()
            if (count := queue.health().facts["unsettled"])
        }
        now = SystemClock().now()
        due = [
            f"{entry.queue_id} is {entry.state.value} in lane {entry.lane}"
            for entry in self.entries()
            if entry.state is State.ACTIVE or (entry.state is State.DUE and entry.due_at <= now)
        ]
        return [*due, *(f"{label} has {count} unsettled" for label, count in unsettled.items())]


@contextlib.contextmanager
def assembled_service(
    tables: Tables | None = None,
    *,
    plugins: Sequence[str | object] = (),
    relays: Mapping[str, Relay] | None = None,
    storages: Mapping[str, QueueStorage] | None = None,
    state_path: Path | None = None,
) -> Iterator[AssembledService]:
    """A service of these tables, as in the TOML file, that runs until the end of the block.

    What is left out is filled in: an edge ``direct``, a storage ``spool`` in memory, a scripted relay ``local``, a
    queue ``main``; and each queue's `storage` (but a proxy's) and `relay` are the first ones of their tables.

    `plugins` are names of installed ones, modules, or objects with the hooks (`provide` makes one of providers); the
    kinds ``direct``, ``memory`` and ``scripted`` are always there. An instance of kind ``scripted`` or ``memory`` whose
    name is in `relays` or `storages` is the component given there. The state folder is a temporary one unless it is
    given.

    Raises:
        ConfigError: with every problem of the tables; nothing was started.
        Exception: what a component's `bind` or `start` raised; those before it have been stopped.
    """
    log = CapturedLog()
    with contextlib.ExitStack() as stack:
        state_path = state_path or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mdacore-")))
        stack.enter_context(log.of_process())
        assembly = Assembly.from_mapping(
            _filled_in(tables or {}),
            plugins=[*plugins, kinds_for_tests(relays or {}, storages or {})],
            state=state_path,
        )
        _start(assembly, stack)
        yield AssembledService(assembly=assembly, log=log, state_path=state_path)


def _filled_in(tables: Tables) -> Tables:
    """The tables with what a test need not say."""
    given = {**_LEFT_OUT, **tables}
    storage, relay = ({key: next(iter(given[f"{key}s"]), "")} for key in ("storage", "relay"))
    queues = {
        name: {**({} if keys.get("proxy") else storage), **relay, **keys} for name, keys in given["queues"].items()
    }
    return {**given, "queues": queues}


def _start(assembly: Assembly, stack: contextlib.ExitStack) -> None:
    """In the order of `mdacore.service.Service`, which only serves in a patched process."""
    for edge in assembly.edges.values():
        edge.bind()
        stack.callback(edge.stop)
    for _, component in assembly.components():
        component.start()
        stack.callback(component.stop)
