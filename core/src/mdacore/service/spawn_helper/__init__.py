"""The spawn helper: a small process that keeps root's rights when the service gives up its own, to start programs as
other users. It runs only what was registered before it was forked (`mdacore.contracts.spawning`).

`client` is the service's side, `helper` the process; they speak in `messages`. Nothing of the service's side is trusted
on the other.
"""

from mdacore.service.spawn_helper.client import SpawnHelper

__all__ = ["SpawnHelper"]
