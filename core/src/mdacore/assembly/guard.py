"""The fence around plugin code that runs while a service is assembled: imports, hooks, validators, builds and checks.

It needs no gevent and writes no log: the reason goes to the operator who asked for the assembly. Nothing that a plugin
raises gets past it, SystemExit included; only the operator's Ctrl-C does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from mdacore.words import printable

P = ParamSpec("P")
T = TypeVar("T")


class PluginFault(Exception):
    """A plugin raised. Its text is what was raised, on one line: ``ModuleNotFoundError: No module named 'x'``."""

    def __init__(self, error: BaseException) -> None:
        text = printable(str(error), 300)
        super().__init__(f"{type(error).__name__}: {text}" if text else type(error).__name__)
        self.error = error

    def sentence(self, plugin: str = "") -> str:
        """For the operator: a ValueError's own words, which is how a plugin speaks to them; anything else is a bug.

        `plugin` is its label, so that they know whose: ``"relay_maildir (mdacore-relay-maildir 0.1.0)"``.
        """
        text = printable(str(self.error), 300)
        if isinstance(self.error, ValueError) and text:
            return text
        return f"the plugin {plugin} failed: {self}" if plugin else f"the plugin failed: {self}"


def guard(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call into a plugin.

    Raises:
        PluginFault: whatever the plugin raised.
    """
    try:
        return function(*args, **kwargs)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginFault(error) from error
