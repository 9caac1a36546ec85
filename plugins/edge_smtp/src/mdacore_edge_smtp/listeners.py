"""Where an edge listens: addresses as an operator writes them, and the sockets made of them.

``"127.0.0.1:25"``, ``"[::1]:25"`` or ``"unix:/run/mda.sock"``. ``[::]`` takes IPv4 as well, unless ``0.0.0.0`` with the
same port is listed beside it.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import shutil
from collections.abc import Sequence
from pathlib import Path

import attrs
from gevent import socket

from mdacore import Context

_ANY_IPV4 = "0.0.0.0"  # noqa: S104 - for comparisons
_ANY_IPV6 = "::"
BACKLOG = socket.SOMAXCONN
MAX_UNIX_PATH_BYTES = 107
"""unix(7): `sun_path` has room for 108 with the NUL."""


@attrs.frozen
class TcpAddress:
    """An IP address and a port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@attrs.frozen
class UnixAddress:
    """A UNIX socket's path, absolute once resolved."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TcpAddress | UnixAddress


@attrs.frozen(kw_only=True)
class Access:
    """Who may connect to a UNIX socket: its mode, and its group if it is to be another than the service's."""

    mode: int = 0o600
    group: str = ""


OWN_USER = Access()


def parse_mode(text: str) -> int:
    """Read ``"0660"``. Raises ValueError with a sentence for the operator."""
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o777:
        raise ValueError(f"{text!r} is not a mode like 0600 or 0660")
    return mode


def parse_address(text: str) -> Address:
    """Read one entry of `listen`. Raises ValueError with a sentence for the operator."""
    if text.startswith("unix:"):
        return _parse_unix(text.removeprefix("unix:"))
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal():
        raise ValueError(f"{text!r} is not of the form 127.0.0.1:25, [::1]:25 or unix:/path")
    if int(port) > 65_535:
        raise ValueError(f"{text!r}: the port is not between 0 and 65535")
    return TcpAddress(_parse_host(host, text), int(port))


def resolve(address: Address, context: Context) -> Address:
    """With a UNIX socket's path made absolute: a relative one is under the state folder."""
    return UnixAddress(context.resolve(address.path)) if isinstance(address, UnixAddress) else address


def collide(one: Address, other: Address, *, beside: Sequence[Address]) -> bool:
    """Whether the second of them could not be bound where the first is; `beside` is all that is bound together."""
    if isinstance(one, UnixAddress) or isinstance(other, UnixAddress):
        return one == other
    if one.port != other.port or not one.port:
        return False
    return one.host == other.host or _takes(one, other, beside) or _takes(other, one, beside)


def _takes(wild: TcpAddress, other: TcpAddress, beside: Sequence[Address]) -> bool:
    if wild.host == _ANY_IPV4:
        return ":" not in other.host
    return wild.host == _ANY_IPV6 and (":" in other.host or not _has_ipv4_twin(wild, beside))


def _parse_unix(path: str) -> UnixAddress:
    if not path or "\0" in path or len(path.encode()) > MAX_UNIX_PATH_BYTES:
        raise ValueError(f"'unix:{path}' is not unix: with a path of 1 to {MAX_UNIX_PATH_BYTES} octets")
    return UnixAddress(Path(path))


def _parse_host(host: str, text: str) -> str:
    is_bracketed = host.startswith("[") and host.endswith("]")
    try:
        ip = ipaddress.ip_address(host[1:-1] if is_bracketed else host)
    except ValueError:
        raise ValueError(f"{text!r}: the host is not an IP address") from None
    if (ip.version == 6) is not is_bracketed:
        raise ValueError(f"{text!r}: an IPv6 address, and no other, stands in brackets")
    return str(ip)


def bind_all(addresses: Sequence[Address], access: Access = OWN_USER) -> list[socket.socket]:
    """Bind and listen on all of them, or raise OSError and leave none bound. Nothing is accepted yet."""
    sockets: list[socket.socket] = []
    try:
        for address in addresses:
            sockets.append(_bind(address, access, is_v6_only=_has_ipv4_twin(address, addresses)))
    except OSError:
        for bound in sockets:
            close(bound)
        raise
    return sockets


def close(listening: socket.socket) -> None:
    """Close a listening socket and remove its path, if it has one and we still may. Raises nothing."""
    name = listening.getsockname()
    if isinstance(name, str):  # while it listens the path is ours: afterwards it may be that of the next process
        with contextlib.suppress(OSError):  # the next one to bind takes it away
            Path(name).unlink()
    listening.close()


def name_of(listening: socket.socket) -> str:
    """What it is bound to, as a person would write it."""
    name = listening.getsockname()
    return f"unix:{name}" if isinstance(name, str) else str(TcpAddress(name[0], name[1]))


def _has_ipv4_twin(address: Address, addresses: Sequence[Address]) -> bool:
    return isinstance(address, TcpAddress) and TcpAddress(_ANY_IPV4, address.port) in addresses


def _bind(address: Address, access: Access, *, is_v6_only: bool) -> socket.socket:
    listening = _new_socket(address, is_v6_only=is_v6_only)
    try:
        if isinstance(address, UnixAddress):
            _remove_stale(address.path)
            listening.bind(str(address.path))
            _open_to(address.path, access)
        else:
            listening.bind((address.host, address.port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise OSError(error.errno, f"cannot listen on {address}: {error.strerror}") from error
    return listening


def _new_socket(address: Address, *, is_v6_only: bool) -> socket.socket:
    if isinstance(address, UnixAddress):
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    is_ipv6 = ":" in address.host
    listening = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Inherited by what is accepted. Without it a pipelining client waits 40 ms for each message.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if is_ipv6:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, is_v6_only)
    return listening


def _open_to(path: Path, access: Access) -> None:
    """Nobody can connect before `listen`, so that nobody comes in while this is not done."""
    if access.group:
        shutil.chown(path, group=access.group)
    path.chmod(access.mode)


def _remove_stale(path: Path) -> None:
    """Remove what a dead process left behind; whoever still listens there keeps it, and bind says so."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if probe.connect_ex(str(path)) == errno.ECONNREFUSED:
            path.unlink(missing_ok=True)
