"""The grammar of SMTP command arguments: paths, parameters, the client's name (RFC 5321 §4.1.2).

Pure: octets in, decoded text out; which reply a mistake earns is decided elsewhere. Every expression is linear in its
input: no two of its alternatives can begin with the same octet.
Invariant: an address that comes out is ``local@domain`` in printable ASCII, a quoted local part still in its quotes;
what is not ASCII, or stands for it, is international.py's.
"""

from __future__ import annotations

import ipaddress
import re

import attrs

MAX_LOCAL_PART_BYTES = 64
"""RFC 5321 §4.5.3.1.1."""

MAX_PATH_BYTES = 256
"""With the brackets, and the source route if there is one: RFC 5321 §4.5.3.1.3. It limits the domain as well."""

MAX_HELO_BYTES = 255
"""A domain's length: RFC 5321 §4.5.3.1.2."""

POSTMASTER = "postmaster"
"""The one recipient that needs no domain: RFC 5321 §4.5.1."""

LABEL = rb"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = LABEL + rb"(?:\." + LABEL + rb")*"


@attrs.frozen
class Paths:
    """The paths of MAIL and RCPT, compiled for one set of characters."""

    reverse: re.Pattern[bytes]
    forward: re.Pattern[bytes]
    postmaster: re.Pattern[bytes]


def compile_paths(*, label: bytes, other: bytes) -> Paths:
    """`label` is a part of a domain; `other` is what may stand wherever a letter may, as part of a character class."""
    atom = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~" + other + rb"-]+"
    quoted = rb'"(?:[ !#-\[\]-~' + other + rb"]|\\[ -~" + other + rb'])+"'
    local = rb"(?:" + atom + rb"(?:\." + atom + rb")*|" + quoted + rb")"
    domain = label + rb"(?:\." + label + rb")*"
    route = rb"@" + domain + rb"(?:,@" + domain + rb")*:"
    path = rb"(?:" + route + rb")?(" + local + rb"@(?:" + domain + rb"|\[[!-?A-Z^-~]+\]))"
    parameters = rb"(?: ([\x00-\x7f" + other + rb"]*))?"
    # A space after the colon is not in the grammar, but in many programs; nothing is ambiguous with it.
    return Paths(
        reverse=re.compile(rb"[Ff][Rr][Oo][Mm]: ?(<(?:" + path + rb")?>)" + parameters),
        forward=re.compile(rb"[Tt][Oo]: ?(<" + path + rb">)" + parameters),
        postmaster=re.compile(rb"TO: ?<postmaster>" + parameters, re.IGNORECASE),
    )


# A label that begins with "xn--" stands for another one, and is looked at closely elsewhere: international.py.
_PATHS = compile_paths(label=rb"(?![Xx][Nn]--)" + LABEL, other=b"")
_PARAMETER = re.compile(rb"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~\x80-\xff]+))?")
_NAME = re.compile(rb"[!-~]{1,%d}" % MAX_HELO_BYTES)
_DOMAIN_ALONE = re.compile(_DOMAIN)


def parse_reverse_path(argument: bytes, paths: Paths = _PATHS) -> tuple[str, bytes] | None:
    """Read ``FROM:<path> parameters`` into the sender (``""`` = null sender) and the octets of the parameters.

    A source route is dropped (RFC 5321 appendix C). None: not in the grammar, or too long.
    """
    match = paths.reverse.fullmatch(argument)
    if match is None:
        return None
    path, mailbox, rest = match.groups(b"")
    if mailbox and not _is_within_limits(path, mailbox):
        return None
    return mailbox.decode(), rest


def parse_forward_path(argument: bytes, paths: Paths = _PATHS) -> tuple[str, bytes] | None:
    """Read ``TO:<path> parameters`` likewise; the address is ``"postmaster"`` where that stands alone."""
    match = paths.forward.fullmatch(argument)
    if match is None:
        bare = paths.postmaster.fullmatch(argument)
        return None if bare is None else (POSTMASTER, bare[1] or b"")
    path, mailbox, rest = match.groups(b"")
    if not _is_within_limits(path, mailbox):
        return None
    return mailbox.decode(), rest


def parse_parameters(rest: bytes) -> dict[str, str]:
    """Read ``KEYWORD=value KEYWORD`` into upper-case keywords and their values, ``""`` = none (RFC 5321 §4.1.2).

    Raises:
        ValueError: not in the grammar, or a keyword that stands twice.
    """
    parameters: dict[str, str] = {}
    for word in rest.split(b" "):
        if not word:
            continue
        match = _PARAMETER.fullmatch(word)
        if match is None:
            raise ValueError(f"not a parameter: {word[:80]!r}")
        keyword = match[1].decode("ascii").upper()
        if keyword in parameters:
            raise ValueError(f"given twice: {keyword}")
        parameters[keyword] = (match[2] or b"").decode()
    return parameters


def parse_helo_name(argument: bytes) -> str | None:
    """The name that a client calls itself: one printable word, or None.

    RFC 5321 §4.1.1.1 wants a domain or an address literal, but §4.1.4 forbids to refuse mail over it; hence any word.
    """
    name = argument.strip(b" ")
    return name.decode("ascii") if _NAME.fullmatch(name) else None


def is_domain(text: str) -> bool:
    """Whether this is a domain of RFC 5321 §4.1.2, or an address literal of §4.1.3."""
    octets = text.encode("ascii", "replace")
    return _is_address_literal(octets) if octets.startswith(b"[") else bool(_DOMAIN_ALONE.fullmatch(octets))


def _is_within_limits(path: bytes, mailbox: bytes) -> bool:
    local, _, domain = mailbox.rpartition(b"@")
    if len(path) > MAX_PATH_BYTES or len(local) > MAX_LOCAL_PART_BYTES:
        return False
    return not domain.startswith(b"[") or _is_address_literal(domain)


def _is_address_literal(text: bytes) -> bool:
    inner = text[1:-1].decode("ascii", "replace")
    try:
        if inner[:5].upper() == "IPV6:":
            ipaddress.IPv6Address(inner[5:])
        else:
            ipaddress.IPv4Address(inner)
    except ValueError:
        return False
    return text.endswith(b"]") and "%" not in inner
