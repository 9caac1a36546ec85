"""What the process itself can run out of, as health: descriptors. Whose they are nobody can tell at run time."""

from __future__ import annotations

import resource
from pathlib import Path

from mdacore.contracts import Health, Status

FEW_LEFT = 0.8
"""From this share of the limit on an operator should look: something leaks, or the limit is too low."""


def process_health() -> Health:
    """How many descriptors are open, of how many. Reads one folder of the kernel's."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        count = sum(1 for _ in Path("/dev/fd").iterdir()) - 1  # without the one that reads it
    except OSError:  # no such folder here, or no descriptor left to read it with
        return Health(status=Status.DEGRADED, reason="the open descriptors cannot be counted")
    facts = {"descriptors": count, "descriptors_max": limit}
    if limit == resource.RLIM_INFINITY or count < FEW_LEFT * limit:
        return Health(facts=facts)
    return Health(status=Status.DEGRADED, reason=f"{count} of {limit} descriptors are open", facts=facts)
