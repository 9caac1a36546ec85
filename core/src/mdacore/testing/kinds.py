"""Kinds for tests: what a configuration can name when nothing is installed but the core, and plugins made in a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from mdacore.contracts import Context, Edge, EdgeContext, Health, Policy, Provider, QueueStorage, Relay
from mdacore.hookspecs import hookimpl
from mdacore.testing.memory import MemoryStorage
from mdacore.testing.relay import ScriptedRelay
from mdacore.words import Envelope, Reply


@attrs.frozen(kw_only=True)
class NoKeys:
    """The configuration of what has nothing to configure."""


class DirectEdge:
    """An edge without a wire: the test hands envelopes over itself. Kind ``direct``.

    Attributes:
        context: as the core made it; `context.validators` are the compiled session-time checks.
    """

    addresses: Sequence[str] = ()

    def __init__(self, config: NoKeys, context: EdgeContext) -> None:  # noqa: ARG002 - a provider's signature
        self.context = context

    def bind(self) -> None: ...

    def start(self) -> None: ...

    def drain(self, grace_s: float) -> bool:  # noqa: ARG002 - the contract's signature
        return True

    def stop(self) -> None: ...

    def health(self) -> Health:
        return Health()

    def send(self, envelope: Envelope) -> Sequence[Reply]:
        """Hand it off: one reply for each recipient. Blocks while policies and storage work."""
        return self.context.handoff.accept(envelope)


class Provided:
    """A plugin given in code."""

    def __init__(
        self,
        *,
        edges: Sequence[Provider[Any, EdgeContext, Edge]],
        policies: Sequence[Provider[Any, Context, Policy]],
        storages: Sequence[Provider[Any, Context, QueueStorage]],
        relays: Sequence[Provider[Any, Context, Relay]],
    ) -> None:
        self._edges, self._policies, self._storages, self._relays = edges, policies, storages, relays

    @hookimpl
    def mdacore_edges(self) -> Sequence[Provider[Any, EdgeContext, Edge]]:
        return self._edges

    @hookimpl
    def mdacore_policies(self) -> Sequence[Provider[Any, Context, Policy]]:
        return self._policies

    @hookimpl
    def mdacore_storages(self) -> Sequence[Provider[Any, Context, QueueStorage]]:
        return self._storages

    @hookimpl
    def mdacore_relays(self) -> Sequence[Provider[Any, Context, Relay]]:
        return self._relays


def provide(
    *,
    edges: Sequence[Provider[Any, EdgeContext, Edge]] = (),
    policies: Sequence[Provider[Any, Context, Policy]] = (),
    storages: Sequence[Provider[Any, Context, QueueStorage]] = (),
    relays: Sequence[Provider[Any, Context, Relay]] = (),
) -> object:
    """A plugin that offers these kinds, to be given in a list of plugins: nothing has to be installed."""
    return Provided(edges=edges, policies=policies, storages=storages, relays=relays)


def kinds_for_tests(relays: Mapping[str, Relay], storages: Mapping[str, QueueStorage]) -> object:
    """The plugin with the kinds ``direct``, ``memory`` and ``scripted``.

    An instance whose name is in `relays` or `storages` is that component; any other is a new one.
    """

    def storage(_: NoKeys, context: Context) -> QueueStorage:
        return storages.get(_name(context)) or MemoryStorage(context.clock)

    def relay(_: NoKeys, context: Context) -> Relay:
        return relays.get(_name(context)) or ScriptedRelay()

    return provide(
        edges=[Provider(kind="direct", config=NoKeys, build=DirectEdge, api=1)],
        storages=[Provider(kind="memory", config=NoKeys, build=storage, api=1)],
        relays=[Provider(kind="scripted", config=NoKeys, build=relay, api=1)],
    )


def _name(context: Context) -> str:
    return context.instance.partition(".")[2]
