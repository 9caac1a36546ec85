"""Where the protocol is known to do otherwise than the reference's rules say; for each a test expects it to.

When the protocol is mended, that test fails ("XPASS"): take out the name here, and what the reference does about it.
"""

from __future__ import annotations

import enum


class Deviation(enum.Enum):
    """Its value says what is wrong."""

    ROUTE_LABELS = "A source route may hold labels that no domain may"
    SKIPPED_AUTH = "Too long a line that is being skipped is answered as AUTH's, if it goes on like AUTH"


DEVIATIONS = frozenset(Deviation)
"""Those that are there."""
