"""Durations and sizes as people write them in a configuration: ``"5m"``, ``"25MB"``, or a plain number."""

from __future__ import annotations

import re
from typing import NewType

Seconds = NewType("Seconds", float)
"""A duration; in a configuration 90, 1.5, ``"90s"``, ``"5m"``, ``"2h"``, ``"5d"``, ``"500ms"``."""

SizeBytes = NewType("SizeBytes", int)
"""A size in bytes; in a configuration 1000, ``"1KB"`` = 1 000, ``"1KiB"`` = 1 024, likewise MB, MiB, GB, GiB."""

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?([A-Za-z]*)")  # 15 digits are exact in a float


def parse_seconds(text: str) -> Seconds:
    """Read ``"5m"``. Raises ValueError with a sentence for the operator."""
    amount, unit = _quantity(text, "a duration like 30s, 5m, 2h or 5d")
    if unit not in _SECONDS:
        raise ValueError(f"{text!r} is not a duration like 30s, 5m, 2h or 5d")
    return Seconds(float(amount) * _SECONDS[unit])


def parse_size(text: str) -> SizeBytes:
    """Read ``"25MB"``. Raises ValueError with a sentence for the operator."""
    amount, unit = _quantity(text, "a size like 500KB, 25MB or 1GiB")
    if unit.upper() not in _BYTES:
        raise ValueError(f"{text!r} is not a size like 500KB, 25MB or 1GiB")
    return SizeBytes(round(float(amount) * _BYTES[unit.upper()]))


def _quantity(text: str, wanted: str) -> tuple[str, str]:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not {wanted}")
    return match[1], match[2]
