"""What can be found wrong with an edge's configuration before anything is started: files, folders, and contradictions.

Reads certificates and looks at the file system; no other side effects.
"""

from __future__ import annotations

import grp
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from mdacore import EdgeContext, Problem
from mdacore_edge_smtp.certificates import problems_of
from mdacore_edge_smtp.config import SmtpConfig
from mdacore_edge_smtp.listeners import UnixAddress, collide, parse_address, resolve
from mdacore_edge_smtp.mail_checks import mail_problems
from mdacore_edge_smtp.networks import Networks

SMTP_PORT = 25


def check(config: SmtpConfig, context: EdgeContext) -> Iterable[Problem]:
    """All that is wrong, with the keys of the edge's table."""
    return chain(
        _listening(config, "listen", config.listen, context),
        _listening(config, "listen_tls", config.listen_tls, context),
        _collisions(config, context),
        _group(config),
        problems_of(config.tls, context),
        _tls(config),
        mail_problems(config, context),
        _networks("proxy_protocol_from", config.proxy_protocol_from),
        _networks("xclient_from", config.xclient_from),
        _networks("trusted_networks", config.trusted_networks),
    )


def _listening(config: SmtpConfig, key: str, texts: Sequence[str], context: EdgeContext) -> Iterator[Problem]:
    for index, text in enumerate(texts):
        address = parse_address(text)
        if isinstance(address, UnixAddress):
            yield from _folder(f"{key}[{index}]", context.resolve(address.path).parent, context)
        elif config.is_lmtp and address.port == SMTP_PORT:
            yield Problem(f"{key}[{index}]", "LMTP must not be spoken on port 25 (RFC 2033 §5)")


def _collisions(config: SmtpConfig, context: EdgeContext) -> Iterator[Problem]:
    """Binding would find them out, but not `mdacore check`."""
    keys = [(key, index) for key in ("listen", "listen_tls") for index in range(len(getattr(config, key)))]
    addresses = [resolve(parse_address(getattr(config, key)[index]), context) for key, index in keys]
    for later, (key, index) in enumerate(keys):
        for earlier in range(later):
            if collide(addresses[earlier], addresses[later], beside=addresses):
                other_key, other_index = keys[earlier]
                yield Problem(f"{key}[{index}]", f"{addresses[later]} is taken by {other_key}[{other_index}] already")
                break


def _folder(key: str, folder: Path, context: EdgeContext) -> Iterator[Problem]:
    # The state folder itself is made at the first start; what is under it is not.
    if not folder.is_dir() and folder != context.state_path:
        yield Problem(key, f"there is no folder {folder}")


def _group(config: SmtpConfig) -> Iterator[Problem]:
    if config.socket_group:
        try:
            grp.getgrnam(config.socket_group)
        except KeyError:
            yield Problem("socket_group", f"there is no group {config.socket_group}")


def _tls(config: SmtpConfig) -> Iterator[Problem]:
    if config.tls.is_on:
        return
    if config.listen_tls:
        yield Problem("listen_tls", "TLS needs a certificate: tls.certificates is empty")
    if config.require_tls:
        yield Problem("require_tls", "no client could keep to it: tls.certificates is empty")


def _networks(key: str, texts: Sequence[str]) -> Iterator[Problem]:
    for index in Networks(texts).too_wide:
        yield Problem(f"{key}[{index}]", f"{texts[index]} holds much of the internet; whoever is in there is believed")
