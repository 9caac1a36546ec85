"""The hook specifications: the file that a plugin author reads first.

A plugin is a module named by an entry point in the group ``mdacore``::

    [project.entry-points.mdacore]
    relay_example = "mdacore_relay_example"

and implements the hooks of the roles it fills. Each hook is called once, at assembly, and returns descriptions;
messages travel through the components that `Provider.build` makes, never through a hook::

    from mdacore import Provider, hookimpl

    @hookimpl
    def mdacore_relays():
        yield Provider(kind="example", config=ExampleConfig, build=ExampleRelay, api=1, default=True)

A hook may import what it needs, but does no I/O. A misspelt hook name or argument rejects the plugin, with the reason
in ``mdacore plugins``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pluggy

from mdacore.contracts import Context, Edge, EdgeContext, Policy, Provider, QueueStorage, Relay

ENTRY_POINT_GROUP = "mdacore"

hookspec = pluggy.HookspecMarker("mdacore")
hookimpl = pluggy.HookimplMarker("mdacore")


class RoleSpecs:
    """One hook a role. The configuration class of a provider is its own (hence Any)."""

    @hookspec
    def mdacore_edges(self) -> Iterable[Provider[Any, EdgeContext, Edge]]:
        """The kinds of edges that this plugin offers: ``[edges.<name>] kind = ...``."""
        raise NotImplementedError

    @hookspec
    def mdacore_policies(self) -> Iterable[Provider[Any, Context, Policy]]:
        """The kinds of policies that this plugin offers: ``[policies.<name>] kind = ...``."""
        raise NotImplementedError

    @hookspec
    def mdacore_storages(self) -> Iterable[Provider[Any, Context, QueueStorage]]:
        """The kinds of storages that this plugin offers: ``[storages.<name>] kind = ...``."""
        raise NotImplementedError

    @hookspec
    def mdacore_relays(self) -> Iterable[Provider[Any, Context, Relay]]:
        """The kinds of relays that this plugin offers: ``[relays.<name>] kind = ...``."""
        raise NotImplementedError
