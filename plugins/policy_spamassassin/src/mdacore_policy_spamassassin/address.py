"""Where spamd is, as an operator writes it. Nothing is looked up in here."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import attrs

_PORT = re.compile(r"[0-9]{1,5}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){0,126}")
_MAX_PORT = 65_535


@attrs.frozen
class TcpAddress:
    """A host, by name or by number, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@attrs.frozen
class UnixAddress:
    """The path of a UNIX socket."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TcpAddress | UnixAddress


def parse_address(text: str) -> Address:
    """Read ``"127.0.0.1:783"``, ``"[::1]:783"`` or ``"unix:/run/spamd.sock"``. Raises ValueError for the operator."""
    path = text.removeprefix("unix:")
    if path != text and path and "\0" not in path:
        return UnixAddress(Path(path))
    host, _, port = text.rpartition(":")
    if not _is_host(host) or not _PORT.fullmatch(port) or not 0 < int(port) <= _MAX_PORT:
        raise ValueError(f"{text!r} is not of the form 127.0.0.1:783, [::1]:783 or unix:/path")
    return TcpAddress(host.strip("[]"), int(port))


def _is_host(text: str) -> bool:
    if not (text.startswith("[") and text.endswith("]")):
        return _NAME.fullmatch(text) is not None
    try:
        ipaddress.IPv6Address(text[1:-1])
    except ValueError:
        return False
    return True
