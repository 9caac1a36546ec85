"""Service: starts an assembly's components in order, drains them, and stops them in reverse.

Order of start: the state folder, in which sockets may lie; edges bind theirs; the process itself (pid file,
privileges); storages, relays, policies, queues; then the edges accept; and last the control socket, which is also the
first to stop.
Invariant: whatever `start` raises, nothing that it began is left running, bound or locked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

import gevent
from gevent import monkey

from mdacore import events
from mdacore.contracts import Component, Edge
from mdacore.log import get_log
from mdacore.runtime import Deadline, InstanceHealth, health_of
from mdacore.service.process import control_of, parts_of_process
from mdacore.service.vitals import process_health
from mdacore.words import MdaError, StartError

if TYPE_CHECKING:
    from mdacore.assembly import Assembly


EDGES_SHARE = 0.75
"""How much of the grace the sessions may use up; the rest is left for the deliveries in hand."""
DRAIN_OVERTIME_S = 1.0


class Step(Protocol):
    """A part of a start."""

    def __call__(self) -> None: ...


class Service:
    """The life of one assembly in this process.

    ``Service(assembly).start()`` is all that a script needs; `stop` ends it. Not thread-safe: one greenlet calls it.
    """

    def __init__(self, assembly: Assembly) -> None:
        self._process_parts = dict(parts_of_process(assembly))
        self._assembly = assembly
        self._components = dict(assembly.components())
        self._control = dict(control_of(assembly, self.health))
        self._edges: Mapping[str, Edge] = dict(assembly.edges)
        self._to_stop: list[tuple[str, Component]] = []
        self._is_running = False
        self._log = get_log()

    def start(self) -> None:
        """Bind, start and accept. Blocks until the service is ready.

        Raises:
            StartError: with the name of the component that could not; everything before it has been stopped again.
            RuntimeError: gevent has not patched the standard library.
        """
        if not monkey.is_module_patched("socket"):
            raise RuntimeError(
                "mdacore needs gevent's monkey patch before anything else is imported: "
                "make `from gevent import monkey; monkey.patch_all()` the first line of your script"
            )
        for name, step, component in self._steps():
            try:
                step()
            except BaseException as error:
                self.stop()
                if not isinstance(error, Exception | gevent.Timeout | SystemExit):
                    raise  # this greenlet is killed, or a person ends the process
                raise StartError(f"{name}: {_cause(error)}", component=name) from error
            self._to_stop = [*(part for part in self._to_stop if part[0] != name), (name, component)]
        addresses = {name: list(edge.addresses) for name, edge in self._edges.items()}
        self._log.info(events.SERVICE_STARTED, addresses=addresses)
        self._is_running = True

    def drain(self, grace_s: float) -> bool:
        """Take no new mail and finish what is in hand: edges first, all at once, then the rest in reverse.

        Returns True if nothing was left after at most `grace_s`.
        """
        self._log.info(events.SERVICE_DRAINING, grace_s=grace_s)
        ends_at = time.monotonic() + grace_s
        edges_grace_s = grace_s * EDGES_SHARE
        edges = [gevent.spawn(self._drain, name, edge, edges_grace_s) for name, edge in self._edges.items()]
        gevent.joinall(edges, timeout=edges_grace_s)
        results = [bool(edge.value) for edge in edges]
        for name, component in reversed(self._to_stop):
            if name not in self._edges:
                results.append(self._drain(name, component, max(0.0, ends_at - time.monotonic())))
        self._log.info(events.SERVICE_DRAINED, is_complete=all(results))
        return all(results)

    def stop(self) -> None:
        """Stop what was started, in reverse. Idempotent; what goes wrong is logged and the rest is stopped too."""
        was_running, self._is_running = self._is_running, False
        while self._to_stop:
            name, component = self._to_stop.pop()
            try:
                component.stop()
            except (Exception, gevent.Timeout, SystemExit) as error:
                self._log.error(events.SERVICE_STOP_FAILED, component=name, error=repr(error), exc_info=True)
        if was_running:
            self._log.info(events.SERVICE_STOPPED)

    def health(self) -> Mapping[str, InstanceHealth]:
        """How each instance is, by its name, and the process as ``"service"``. Neither blocks nor raises."""
        parts = {**self._process_parts, **self._control}
        own = {name: health_of(name, part, breakers={}, log=self._log) for name, part in parts.items()}
        process = InstanceHealth(instance="service", own=process_health())
        return {"service": process, **own, **self._assembly.health()}

    def _steps(self) -> Iterator[tuple[str, Step, Component]]:
        (state, folder), *parts = self._process_parts.items()
        yield state, folder.start, folder
        for name, edge in self._edges.items():
            yield name, edge.bind, edge
        for name, component in [*parts, *self._components.items(), *self._control.items()]:
            yield name, component.start, component

    def _drain(self, name: str, component: Component, grace_s: float) -> bool:
        try:
            with Deadline(grace_s + DRAIN_OVERTIME_S):
                return component.drain(grace_s)
        except (Exception, gevent.Timeout, SystemExit) as error:
            self._log.error(events.SERVICE_STOP_FAILED, component=name, error=repr(error), exc_info=True)
            return False


def _cause(error: BaseException) -> str:
    return str(error) if isinstance(error, MdaError | OSError | ValueError) else repr(error)
