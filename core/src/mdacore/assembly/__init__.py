"""Assembly: from a configuration to components that are built and wired, and not yet started.

The names are imported when they are first used: discovery needs neither gevent nor the queue, an Assembly needs both.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mdacore.assembly.assembly import Assembly
    from mdacore.assembly.discovery import Discovery, Plugin, Rejected, discover, discover_all, installed
    from mdacore.assembly.plan import Plan, make_plan
    from mdacore.assembly.render import render_plan
    from mdacore.assembly.settings import Options, Settings
    from mdacore.assembly.template import write_template

__all__ = [
    "Assembly",
    "Discovery",
    "Options",
    "Plan",
    "Plugin",
    "Rejected",
    "Settings",
    "discover",
    "discover_all",
    "installed",
    "make_plan",
    "render_plan",
    "write_template",
]

_HOMES = {
    "assembly": ("Assembly",),
    "discovery": ("Discovery", "Plugin", "Rejected", "discover", "discover_all", "installed"),
    "plan": ("Plan", "make_plan"),
    "render": ("render_plan",),
    "settings": ("Options", "Settings"),
    "template": ("write_template",),
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
