"""What is in a message, as functions of all of its octets (RFC 5321 §2.3.8, §4.5.2)."""

from __future__ import annotations

END_OF_DATA = b"\r\n.\r\n"


def length_of_possible_end(octets: bytes) -> int:
    """How many of the last octets may turn out to be the beginning of the end."""
    return max(length for length in range(len(END_OF_DATA)) if octets.endswith(END_OF_DATA[:length]))


def unstuffed(octets: bytes) -> bytes:
    """Without the dots that were put before lines with a dot."""
    return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in octets.split(b"\r\n"))


def in_crlf(octets: bytes) -> bytes:
    """With every CR and LF that stands alone made a CRLF."""
    return octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


def without_fault(octets: bytes) -> bytes:
    """Up to the first CR or LF that stands alone."""
    shadow = octets.replace(b"\r\n", b"__")
    faults = [place for place in (shadow.find(b"\r"), shadow.find(b"\n")) if place >= 0]
    return octets[: min(faults, default=len(octets))]
