"""Provider: what a plugin offers: a kind that a configuration can name, how to configure it and how to build it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import attrs

from mdacore.contracts.component import Context
from mdacore.words import Problem

API_VERSION = 1
"""The version of the contracts in here. A plugin says which one it was written for (`Provider.api`)."""

ConfigT = TypeVar("ConfigT")
ContextT = TypeVar("ContextT", bound=Context)
ComponentT = TypeVar("ComponentT")


def _no_problems(_config: object, _context: Context) -> Iterable[Problem]:
    return ()


@attrs.frozen(kw_only=True)
class Provider(Generic[ConfigT, ContextT, ComponentT]):
    """One kind of component.

    Attributes:
        kind: what a configuration writes after ``kind =``; unique within a role: ``[a-z][a-z0-9_]*``.
        config: an attrs class, all fields with defaults where a default makes sense. Each field is a key of the
            instance's table; unknown keys, wrong types and failed validators are reported with their path.
            Types that may be used: str, int, float, bool, Path, Seconds, SizeBytes, Literal, enums, tuples, dicts
            with str keys, other attrs classes, and None. A field's ``metadata={"help": "..."}`` is the comment that
            `mdacore init` writes.
        build: makes the component. Pure: no I/O, no threads, no greenlets; that belongs to `Component.start`. It may
            raise ValueError with a sentence for the operator, which is reported as a problem of the instance's table.
        api: the API_VERSION that the plugin was written for, as a number: imported it would always agree.
        default: the kind that a plugin named on the command line without a file means; one per plugin and role.
        check: what can be known from the configuration, the environment and stat alone: an unwritable folder, a
            missing program. Problem keys are relative to the instance's table (``"path"``). No side effects.
    """

    kind: str
    config: type[ConfigT]
    build: Callable[[ConfigT, ContextT], ComponentT]
    api: int
    default: bool = False
    check: Callable[[ConfigT, ContextT], Iterable[Problem]] = _no_problems
