"""Slow syncs: a library that is loaded into a target before its own (`load/slowsync.c`), the same for all targets.

Whoever cleans its environment for its children, as Postfix does, has to pass on the `NAMES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mdabench.load import BENCH, compiled

SOURCE = BENCH / "load" / "slowsync.c"
NAMES = ("LD_PRELOAD", "SLOWSYNC_US")


def build() -> Path:
    """The library. Raises Unavailable."""
    return compiled(SOURCE, "-shared", "-fPIC")


def environment(delay_ms: float) -> Mapping[str, str]:
    """What a process needs in its environment so that each of its syncs takes so much longer; nothing for 0."""
    if not delay_ms:
        return {}
    return dict(zip(NAMES, (str(build()), f"{delay_ms * 1000:.0f}"), strict=True))
