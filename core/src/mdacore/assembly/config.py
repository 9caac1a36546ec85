"""The tables that belong to the core whole: ``[service]``, ``[log]`` and ``[queues.<name>]``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import attrs
from attrs.validators import ge, gt, le, optional

from mdacore.log import Level, Style
from mdacore.queue import DEFAULT_JITTER, DEFAULT_RETRY, RetrySchedule
from mdacore.words import Seconds, split_address

INSTANCE_TABLES = ("edges", "queues", "policies", "storages", "relays")
TOP_LEVEL_KEYS = ("plugins", "service", "log", *INSTANCE_TABLES)
INSTANCE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")

HOSTNAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9_])?")


def _check_hostname(_: object, __: object, hostname: str) -> None:
    if not HOSTNAME.fullmatch(hostname):
        raise ValueError(f"{hostname!r} is not a host name")


def _check_route_domains(_: object, __: object, domains: tuple[str, ...]) -> None:
    if not domains:
        raise ValueError("names no domain; leave it out for all that no route before it took")
    _check_domains(_, __, domains)


def _check_domains(_: object, __: object, domains: tuple[str, ...]) -> None:
    if not domains:
        raise ValueError("names no domain")
    for domain in domains:
        if not domain or "@" in domain or not domain.isprintable() or " " in domain:
            raise ValueError(f"{domain!r} is not a domain like example.com")


def _check_name(_: object, __: object, name: str) -> None:
    if not name or not name.isprintable() or ":" in name:
        raise ValueError(f"{name!r} is not a name")


def _check_names(_: object, __: object, names: tuple[str, ...]) -> None:
    for name in names:
        _check_name(_, __, name)


def _check_control(_: object, __: object, control: str) -> None:
    if control and (not control.isprintable() or not Path(control).name or control.endswith("/..")):
        raise ValueError(f"{control!r} is not the path of a socket")


def _check_address(_: object, __: object, address: str) -> None:
    if not all(split_address(address)) or not address.isprintable() or " " in address:
        raise ValueError(f"{address!r} is not an address like postmaster@example.com")


def _check_retry(_: object, __: object, retry: str) -> None:
    RetrySchedule.parse(retry)


def _check_storage(keys: QueueKeys, _: object, storage: str | None) -> None:
    if storage is None and not keys.proxy:  # nobody loses the durability of their mail by leaving out a line
        raise ValueError("is missing and has no default; proxy = true is for a queue that stores nothing")


@attrs.frozen(kw_only=True)
class ServiceKeys:
    """``[service]``: what concerns the process."""

    hostname: str | None = attrs.field(
        default=None,
        validator=optional(_check_hostname),
        metadata={"help": "The service's name in greetings, Received fields and notices; left out, the machine's."},
    )
    grace_s: Seconds = attrs.field(
        default=Seconds(30.0),
        metadata={"help": "How long it may take to finish what is in hand when it is told to stop."},
    )
    blocked_s: Seconds = attrs.field(
        default=Seconds(1.0),
        validator=ge(Seconds(0)),
        metadata={"help": "How long code may keep everything else waiting before the log names it; 0 = nobody looks."},
    )
    user: str | None = attrs.field(
        default=None,
        validator=optional(_check_name),
        metadata={"help": "The user that it becomes once its ports are bound, where it was started by root."},
    )
    group: str | None = attrs.field(
        default=None,
        validator=optional(_check_name),
        metadata={"help": "The group that it becomes; left out, the user's own."},
    )
    supplementary_groups: tuple[str, ...] = attrs.field(
        default=(),
        validator=_check_names,
        metadata={"help": "More groups, beside those that the group database has the user in."},
    )
    pid_file: Path | None = attrs.field(
        default=None, metadata={"help": "A file that holds the process's number while it runs, for one at a time."}
    )
    control: str = attrs.field(
        default="control.sock",
        validator=_check_control,
        metadata={"help": 'The socket by which `mdacore queue` and `mdacore health` reach it; "" = there is none.'},
    )
    spawn_helper: bool = attrs.field(
        default=False,
        metadata={"help": "Keep a small process with root's rights that starts delivery programs as other users."},
    )
    min_uid: int = attrs.field(
        default=500,
        validator=ge(1),
        metadata={"help": "The spawn helper starts nothing as a user with a smaller number."},
    )


@attrs.frozen(kw_only=True)
class LogKeys:
    """``[log]``: the events on standard output."""

    level: Level = attrs.field(default="info", metadata={"help": "The least important events that are written."})
    style: Style = attrs.field(
        default="auto",
        metadata={"help": "JSON lines, or lines for people; auto is for people on a terminal and JSON elsewhere."},
    )


@attrs.frozen(kw_only=True)
class RouteKeys:
    """``[[queues.<name>.routes]]``: which recipients go to which relay."""

    domains: tuple[str, ...] | None = attrs.field(
        default=None,
        validator=optional(_check_route_domains),
        metadata={"help": "The recipients' domains that it is for; left out, all that no route before it took."},
    )
    relay: str = attrs.field(metadata={"help": "The relay that they go to."})


@attrs.frozen(kw_only=True)
class RetryForKeys:
    """``[[queues.<name>.retry_for]]``: how mail for some domains is tried in another way."""

    domains: tuple[str, ...] = attrs.field(
        validator=_check_domains, metadata={"help": "The recipients' domains that it is for."}
    )
    retry: str | None = attrs.field(
        default=None,
        validator=optional(_check_retry),
        metadata={"help": "The delays after failed attempts; left out, the queue's."},
    )
    retry_jitter: float | None = attrs.field(
        default=None,
        validator=optional([ge(0), le(1)]),
        metadata={"help": "By which share of itself each delay is changed at most; left out, the queue's."},
    )
    lifetime_s: Seconds | None = attrs.field(
        default=None,
        validator=optional(gt(Seconds(0))),
        metadata={"help": "How long it is tried before it is returned; left out, as long as the queue's."},
    )

    def __attrs_post_init__(self) -> None:
        if self.retry is None and self.retry_jitter is None and self.lifetime_s is None:
            raise ValueError("says nothing of its domains: give it retry, retry_jitter or lifetime_s")


@attrs.frozen(kw_only=True)
class NoticeTextKeys:
    """``[queues.<name>.notice_texts]``: files with the words for people, one for each kind of notice."""

    failed: Path | None = attrs.field(default=None, metadata={"help": "For mail that was refused for good."})
    expired: Path | None = attrs.field(
        default=None, metadata={"help": "For mail that could not be delivered in its lifetime."}
    )
    delayed: Path | None = attrs.field(default=None, metadata={"help": "The warning that mail is late."})
    delivered: Path | None = attrs.field(default=None, metadata={"help": "For a sender who asked for a confirmation."})
    relayed: Path | None = attrs.field(
        default=None, metadata={"help": "The same, where the next system will send no confirmation."}
    )
    postmaster: Path | None = attrs.field(
        default=None, metadata={"help": "For the postmaster, about a notice that could not be delivered."}
    )


@attrs.frozen(kw_only=True)
class QueueKeys:
    """``[queues.<name>]``: what happens to a message between an edge and a relay."""

    storage: str | None = attrs.field(
        default=None,
        validator=_check_storage,
        metadata={"help": "The storage that keeps its messages; needed, but for a proxy."},
    )
    proxy: bool = attrs.field(
        default=False,
        metadata={"help": "Instead of a storage: relay while the client waits, and give it the relay's replies."},
    )
    policies: tuple[str, ...] = attrs.field(
        default=(), metadata={"help": "The policies that see a message once, before it is stored, in this order."}
    )
    relay_policies: tuple[str, ...] = attrs.field(
        default=(), metadata={"help": "The policies that see a message before each attempt, in this order."}
    )
    relay: str | None = attrs.field(
        default=None, metadata={"help": "The relay for all recipients that no route is for."}
    )
    routes: tuple[RouteKeys, ...] = attrs.field(
        default=(), metadata={"help": "Relays by the recipient's domain; the first that fits wins."}
    )
    retry: str = attrs.field(
        default=DEFAULT_RETRY,
        validator=_check_retry,
        metadata={"help": "The delays after failed attempts; `*3` is three times, and the last one repeats."},
    )
    retry_jitter: float = attrs.field(
        default=DEFAULT_JITTER,
        validator=[ge(0), le(1)],
        metadata={"help": "By which share of itself each delay is changed at most, so that retries are spread."},
    )
    retry_for: tuple[RetryForKeys, ...] = attrs.field(
        default=(), metadata={"help": "Other delays and lifetimes, by the recipient's domain."}
    )
    lifetime_s: Seconds = attrs.field(
        default=Seconds(432_000.0),
        validator=gt(Seconds(0)),
        metadata={"help": "How long a message is tried before it is returned to its sender."},
    )
    claims_max: int = attrs.field(
        default=1000, validator=ge(1), metadata={"help": "How many messages may be in hand at once."}
    )
    place_wait_s: Seconds = attrs.field(
        default=Seconds(30.0),
        validator=ge(Seconds(0)),
        metadata={"help": "Of a proxy: how long a message waits for its relay to have a place free before it is 451."},
    )
    reply_within_s: Seconds = attrs.field(
        default=Seconds(540.0),
        validator=gt(Seconds(0)),
        metadata={"help": "Of a proxy: how long its client waits at most; most clients give up after ten minutes."},
    )
    notices_to: Literal["everyone", "authenticated"] = attrs.field(
        default="everyone",
        metadata={"help": "Who is told what became of their mail: every sender, or only those who logged in."},
    )
    delay_warning_s: Seconds = attrs.field(
        default=Seconds(14_400.0),
        validator=ge(Seconds(0)),
        metadata={"help": "How old a message has to be for a warning to its sender that it is late; 0 = no warnings."},
    )
    postmaster: str | None = attrs.field(
        default=None,
        validator=optional(_check_address),
        metadata={"help": "Who is told of notices that cannot be delivered; left out, only the log."},
    )
    notice_queue: str | None = attrs.field(
        default=None,
        metadata={"help": "The queue that sends its notices, in the same storage; left out, it does so itself."},
    )
    notice_texts: NoticeTextKeys | None = attrs.field(
        default=None, metadata={"help": "Files with other words for its notices, by the kind of notice."}
    )
