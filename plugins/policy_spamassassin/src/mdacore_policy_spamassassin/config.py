"""The configuration of a SpamAssassin policy, and what can be found wrong with it before anything is started."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import attrs
from attrs.validators import deep_iterable, ge, gt, matches_re

from mdacore import Context, Problem, Seconds, SizeBytes
from mdacore_policy_spamassassin.address import Address, UnixAddress, parse_address

MAX_UNIX_PATH_BYTES = 107
"""unix(7): `sun_path` has room for 108 with the NUL."""


def _check_address(_: object, __: object, text: str) -> None:
    parse_address(text)


def _check_field_name(_: object, __: object, name: str) -> None:
    if not re.fullmatch(r"[!-9;-~]{1,64}", name):
        raise ValueError(f"{name!r} is not the name of a header field")


def _check_reject_score(config: SpamAssassinConfig, _: object, score: float | None) -> None:
    if score is not None and score <= 0:
        raise ValueError(f"{score} would refuse clean mail: its score is often 0 or below")
    if score is not None and config.at == "relay":
        raise ValueError(
            'needs at = "queue": once a message is accepted, refusing it sends a notice to a forged sender'
        )


@attrs.frozen(kw_only=True)
class SpamAssassinConfig:
    """``[policies.<name>] kind = "spamassassin"``."""

    address: str = attrs.field(
        default="127.0.0.1:783",
        validator=_check_address,
        metadata={"help": "Where spamd listens: 127.0.0.1:783, [::1]:783, spamd.example.com:783 or unix:/path."},
    )
    at: Literal["queue", "relay"] = attrs.field(
        default="queue",
        metadata={
            "help": "When to scan: before the message is stored and its client answered, or before each attempt."
        },
    )
    user: str = attrs.field(
        default="",
        validator=matches_re(r"[A-Za-z0-9_.@+-]{0,255}"),
        metadata={"help": "Whose settings spamd is asked to apply; empty means its own."},
    )
    timeout_s: Seconds = attrs.field(
        default=Seconds(50.0),
        validator=gt(Seconds(0.0)),
        metadata={"help": "How long one scan may take in all; keep it below deadline_s, which is 60 s by default."},
    )
    concurrency: int = attrs.field(
        default=5,
        validator=ge(1),
        metadata={"help": "How many messages are scanned at once; more than spamd's --max-children gains nothing."},
    )
    max_scan_bytes: SizeBytes = attrs.field(
        default=SizeBytes(500 * 1024),
        validator=ge(SizeBytes(0)),
        metadata={"help": "Larger messages are not scanned but marked; spamc's own limit is 500 KiB as well."},
    )
    reject_score: float | None = attrs.field(
        default=None,
        validator=_check_reject_score,
        metadata={"help": "Refuse a message with this score or more, 550 5.7.1; left out, spam is only marked."},
    )
    tag_failures: bool = attrs.field(
        default=False,
        metadata={"help": "Pass on a message that could not be scanned, marked so; false means that on_error decides."},
    )
    remove_fields: tuple[str, ...] = attrs.field(
        default=("X-Spam-Flag", "X-Spam-Level", "X-Spam-Score", "X-Spam-Report", "X-Spam-Checker-Version"),
        validator=deep_iterable(_check_field_name),
        metadata={"help": "Fields to take out of each message, beside the three that this policy writes."},
    )


def spamd_address(config: SpamAssassinConfig, context: Context) -> Address:
    """Where to connect to, its path absolute."""
    address = parse_address(config.address)
    return UnixAddress(context.resolve(address.path)) if isinstance(address, UnixAddress) else address


def check(config: SpamAssassinConfig, context: Context) -> Iterable[Problem]:
    """Whether the socket's path fits into an address. Whether spamd is there is not asked: it may start later."""
    address = spamd_address(config, context)
    if isinstance(address, UnixAddress) and len(bytes(address.path)) > MAX_UNIX_PATH_BYTES:
        yield Problem("address", f"{address.path} is longer than the {MAX_UNIX_PATH_BYTES} octets of a socket's path")
