"""The four roles as a configuration sees them, and the keys of their tables that belong to the core."""

from __future__ import annotations

import enum
from typing import Any, Literal

import attrs
from attrs.validators import ge, gt

from mdacore.words import Seconds


class Role(enum.Enum):
    """A role; its value is the name of its table of tables and the end of its hook's name."""

    EDGES = "edges"
    POLICIES = "policies"
    STORAGES = "storages"
    RELAYS = "relays"

    @property
    def noun(self) -> str:
        """One of them: ``"policy"``."""
        return {"policies": "policy"}.get(self.value, self.value.removesuffix("s"))

    @property
    def hook(self) -> str:
        """The hook that its plugins implement."""
        return f"mdacore_{self.value}"


_KIND_HELP = "Which of the kinds that the plugins offer; may be left out where only one is meant by default."


def _faults_max() -> Any:
    return attrs.field(
        default=3,
        validator=ge(0),
        metadata={"help": "After how many faults in a row it is switched off for a while; 0 = it never is."},
    )


def _pause_max_s() -> Any:
    return attrs.field(
        default=Seconds(60.0),
        validator=gt(Seconds(0)),
        metadata={"help": "How long at most it is switched off before one call tries it again; it begins with 5 s."},
    )


@attrs.frozen(kw_only=True)
class EdgeKeys:
    """The core's keys in ``[edges.<name>]``."""

    kind: str | None = attrs.field(default=None, metadata={"help": _KIND_HELP})
    queue: str | None = attrs.field(
        default=None,
        metadata={"help": "The queue that its mail goes to; left out, the queue `main` or the only one there is."},
    )
    validators: tuple[str, ...] = attrs.field(
        default=(), metadata={"help": "The policies that may object while a client talks, asked in this order."}
    )


@attrs.frozen(kw_only=True)
class PolicyKeys:
    """The core's keys in ``[policies.<name>]``."""

    kind: str | None = attrs.field(default=None, metadata={"help": _KIND_HELP})
    on_error: Literal["defer", "accept", "reject"] = attrs.field(
        default="defer",
        metadata={"help": "What its failure does to a message: 451, as if it were not there, or 554."},
    )
    deadline_s: Seconds = attrs.field(
        default=Seconds(60.0),
        validator=gt(Seconds(0)),
        metadata={"help": "How long it may take each time it is asked."},
    )
    faults_max: int = _faults_max()
    pause_max_s: Seconds = _pause_max_s()  # noqa: RUF009 - it makes the field


@attrs.frozen(kw_only=True)
class StorageKeys:
    """The core's keys in ``[storages.<name>]``."""

    kind: str | None = attrs.field(default=None, metadata={"help": _KIND_HELP})


@attrs.frozen(kw_only=True)
class RelayKeys:
    """The core's keys in ``[relays.<name>]``."""

    kind: str | None = attrs.field(default=None, metadata={"help": _KIND_HELP})
    concurrency: int = attrs.field(
        default=20, validator=ge(1), metadata={"help": "How many attempts may run at once for each destination."}
    )
    concurrency_start: int = attrs.field(
        default=5,
        validator=ge(1),
        metadata={"help": "How many may run at once for a destination that has not answered yet; each answer adds 1."},
    )
    suspension_max_s: Seconds = attrs.field(
        default=Seconds(900.0),
        validator=ge(Seconds(0)),
        metadata={"help": "How long at most a destination that is down is left alone at once; 0 = it never is."},
    )
    deadline_s: Seconds = attrs.field(
        default=Seconds(600.0),
        validator=gt(Seconds(0)),
        metadata={"help": "How long one attempt may take; whoever has no reply by then is deferred."},
    )
    faults_max: int = _faults_max()
    pause_max_s: Seconds = _pause_max_s()  # noqa: RUF009 - it makes the field


Keys = EdgeKeys | PolicyKeys | StorageKeys | RelayKeys

KEYS: dict[Role, type[Keys]] = {
    Role.EDGES: EdgeKeys,
    Role.POLICIES: PolicyKeys,
    Role.STORAGES: StorageKeys,
    Role.RELAYS: RelayKeys,
}


def core_keys(role: Role) -> frozenset[str]:
    """The names of the keys that a plugin's own class cannot have."""
    return frozenset(field.name for field in attrs.fields(KEYS[role]))
