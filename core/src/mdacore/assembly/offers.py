"""What one plugin offers: its hooks called once, and everything they gave looked at before anybody uses it.

All of it runs inside the guard of whoever discovers: a plugin that breaks a rule is refused, whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import pluggy

from mdacore.assembly.keys import keys_of
from mdacore.assembly.roles import Role, core_keys
from mdacore.contracts import API_VERSION, Provider
from mdacore.hookspecs import RoleSpecs
from mdacore.words import printable

Offers = Mapping[Role, Sequence[Provider[Any, Any, Any]]]

_KIND = re.compile(r"[a-z][a-z0-9_]*")


class Refusal(Exception):
    """The plugin breaks a rule of ours; the text says which."""


def read_offers(plugin: object, name: str) -> Offers:
    """The providers of each role, in the plugin's order. `plugin` is a module or an object with the hooks.

    Raises:
        Refusal: what it offers cannot be used.
        Exception: whatever its hooks raise.
    """
    _check_hook_names(plugin)
    manager = pluggy.PluginManager("mdacore")
    manager.add_hookspecs(RoleSpecs)
    try:
        manager.register(plugin, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise Refusal(printable(str(error))) from error
    offers = {role: _offered(manager, role) for role in Role}
    if not any(offers.values()):
        raise Refusal("it offers nothing: none of its hooks gave a provider")
    return offers


def _check_hook_names(plugin: object) -> None:
    hooks = sorted(role.hook for role in Role)
    for name in dir(plugin):
        function = getattr(plugin, name, None) if name.startswith("mdacore_") else None
        if not callable(function):
            continue
        if name not in hooks:
            raise Refusal(f"{name} is not a hook; the hooks are {', '.join(hooks)}")
        if not hasattr(function, "mdacore_impl"):
            raise Refusal(f"{name} is not marked with @hookimpl")


def _offered(manager: pluggy.PluginManager, role: Role) -> Sequence[Provider[Any, Any, Any]]:
    offered = tuple(provider for given in getattr(manager.hook, role.hook)() for provider in given)
    for provider in offered:
        if not isinstance(provider, Provider):
            raise Refusal(f"{role.hook} gave {printable(repr(provider), 60)}, which is not a Provider")
        _check_provider(role, provider)
    if len({provider.kind for provider in offered}) < len(offered):
        raise Refusal(f"{role.hook} offers one kind twice")
    if sum(provider.default for provider in offered) > 1:
        raise Refusal(f"{role.hook} marks more than one kind as the default")
    return offered


def _check_provider(role: Role, provider: Provider[Any, Any, Any]) -> None:
    kind = f"{role.noun} kind {provider.kind!r}"
    if provider.api != API_VERSION:
        raise Refusal(f"{kind} is written for API version {provider.api}, and this mdacore has {API_VERSION}")
    if not _KIND.fullmatch(provider.kind):
        raise Refusal(f"{kind}: a kind is of lower-case letters, digits and _, and begins with a letter")
    if not attrs.has(provider.config):
        raise Refusal(f"{kind}: its configuration is not an attrs class")
    if taken := core_keys(role) & {key.name for key in keys_of(provider.config)}:
        raise Refusal(f"{kind}: the core has keys of these names: {', '.join(sorted(taken))}")
