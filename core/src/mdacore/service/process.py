"""Which parts of a process the configuration asks for, in the order of their start: the first is the state folder, and
the last one gives up the rights that those before it need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from mdacore.assembly.identity import UnknownName, find_identity
from mdacore.contracts import Component
from mdacore.log import get_log
from mdacore.runtime import InstanceHealth
from mdacore.service.control import ControlSocket
from mdacore.service.control.desk import ServiceDesk
from mdacore.service.pid_file import PidFile
from mdacore.service.privileges import Privileges
from mdacore.service.spawn_helper import SpawnHelper
from mdacore.service.state_folder import StateFolder
from mdacore.words import StartError

if TYPE_CHECKING:
    from mdacore.assembly import Assembly


def parts_of_process(assembly: Assembly) -> Iterator[tuple[str, Component]]:
    """The parts, by their labels.

    Raises:
        StartError: the user that the configuration names is not there any more.
    """
    settings = assembly.plan.settings
    try:
        identity = find_identity(settings.service)
    except UnknownName as error:
        raise StartError(f"service.user: {error}", component="service.user") from error
    yield "service.state", StateFolder(settings.state_path, identity)
    if settings.service.pid_file is not None:
        yield "service.pid_file", PidFile(settings.state_path / settings.service.pid_file)
    if assembly.spawning.templates:
        log = get_log("service.spawn_helper")
        yield (
            "service.spawn_helper",
            SpawnHelper(assembly.spawning, min_uid=settings.service.min_uid, log=log),
        )
    yield "service.user", Privileges(identity, settings.state_path, get_log("service.user"))


def control_of(
    assembly: Assembly, health: Callable[[], Mapping[str, InstanceHealth]]
) -> Iterator[tuple[str, ControlSocket]]:
    """The control socket with its label; nothing if there is to be none. It starts last: it speaks of what runs."""
    settings = assembly.plan.settings
    if settings.service.control:
        log = get_log("service.control")
        path = settings.state_path / settings.service.control
        yield "service.control", ControlSocket(path, ServiceDesk(assembly, health, log), log)
