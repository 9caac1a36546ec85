"""The state folder: where it is, and whether it could be made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mdacore.assembly.tree import Report


def find_state_path(state: str | Path | None, environ: Mapping[str, str]) -> tuple[Path, str]:
    """The state folder, absolute, and what it was taken from (``"--state"``, ``"STATE_DIRECTORY"``, ``""``).

    In this order: as given; the first of systemd's $STATE_DIRECTORY; /var/lib/mdacore for root;
    $XDG_STATE_HOME/mdacore, where that is absolute (as the XDG specification asks); ~/.local/state/mdacore.
    """
    if state is not None:
        return Path(state).absolute(), "--state"
    if given := environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(given).absolute(), "STATE_DIRECTORY"
    if os.geteuid() == 0:
        return Path("/var/lib/mdacore"), ""
    if (base := environ.get("XDG_STATE_HOME", "")).startswith("/"):
        return Path(base) / "mdacore", "XDG_STATE_HOME"
    home = environ.get("HOME") or "/"
    return Path(home).absolute() / ".local/state/mdacore", ""


def check_state_path(path: Path, origin: str, report: Report) -> None:
    """Note if the folder is not there and could not be made, or is there and could not be written. Only stat."""
    existing = path
    while not os.path.lexists(existing):
        existing = existing.parent
    if not existing.is_dir():
        report.add((), f"state folder {path}: {existing} is not a folder", origin=origin)
    elif not os.access(existing, os.W_OK | os.X_OK):
        report.add((), f"state folder {path}: {existing} is not writable", origin=origin)
