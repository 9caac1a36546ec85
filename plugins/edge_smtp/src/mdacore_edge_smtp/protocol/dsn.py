"""What the parameters of DSN say (RFC 3461 §4). Pure; what comes in has passed the table of extensions.

Invariant: what comes out is printable, without CR, LF or NUL, so that it can stand in a notice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_HEXCHAR = re.compile(r"\+([0-9A-Fa-f]{2})")


def envelope_id(parameters: Mapping[str, str]) -> str:
    """MAIL's ENVID, decoded: at most 100 characters of printable ASCII; ``""`` = none (§4.4)."""
    return decode_xtext(parameters.get("ENVID", ""))


def returns_headers(parameters: Mapping[str, str]) -> bool:
    """Whether MAIL's RET asks for no more than the header of the message in a notice of failure (§4.3)."""
    return parameters.get("RET", "").upper() == "HDRS"


def notify(parameters: Mapping[str, str]) -> tuple[str, ...]:
    """RCPT's NOTIFY: ``("NEVER",)`` or some of SUCCESS, FAILURE and DELAY, upper case; ``()`` = none (§4.1)."""
    return tuple(dict.fromkeys(word for word in parameters.get("NOTIFY", "").upper().split(",") if word))


def original_recipient(parameters: Mapping[str, str]) -> str:
    """RCPT's ORCPT, decoded: ``"rfc822;a+b@example.com"``; ``""`` = none (§4.2)."""
    return decode_xtext(parameters.get("ORCPT", ""))


def decode_xtext(text: str) -> str:
    """The characters that xtext stands for (§4)."""
    return _HEXCHAR.sub(lambda match: chr(int(match[1], 16)), text)
