"""What may stand in a configuration: validators for attrs fields. Pure; each raises ValueError with a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

from mdacore_relay_lda.template import RECIPIENT_NAMES, Template
from mdacore_relay_lda.verdict import parse_table

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"})
_SCRIPT_OPTION = re.compile(r"-[A-Za-z]*c")


def check_text(_: object, __: object, text: str) -> None:
    """No control characters."""
    if not text.isprintable():
        raise ValueError(f"{text!r} has a character that cannot be printed")


def check_template(_: object, __: object, text: str) -> None:
    """Known names only, braces in pairs."""
    Template(text)


def check_templates(_: object, __: object, texts: Iterable[str]) -> None:
    """Each of them a template."""
    for text in texts:
        Template(text)


def check_environment(_: object, __: object, variables: Mapping[str, str]) -> None:
    """Names that a shell could use, templates without control characters or the mark of a function."""
    for name, text in variables.items():
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a variable")
        if not text.isprintable() or "() {" in text:
            raise ValueError(f"{name} has a control character, or looks like a function: {text!r}")
        Template(text)


def check_exit_table(_: object, __: object, table: str | Mapping[str, str]) -> None:
    """Statuses from 1 to 255 and replies that can be given to a delivery."""
    if isinstance(table, Mapping):
        parse_table(table)


def check_program(_: object, __: object, path: Path) -> None:
    """Nothing is searched for."""
    if not path.is_absolute():
        raise ValueError(f"{path} is not an absolute path")


def check_command(_: object, __: object, command: tuple[str, ...]) -> None:
    """A program that nothing in a message chooses, and no shell that would run what is in an address."""
    if not command:
        raise ValueError("the program is missing")
    templates = [Template(text) for text in command]
    if templates[0].names or not command[0].startswith("/"):
        raise ValueError(f"the program {command[0]!r} is not an absolute path without anything to fill in")
    if Path(command[0]).name in _SHELLS and any(
        _SCRIPT_OPTION.fullmatch(option.text) and script.names for option, script in pairwise(templates)
    ):
        raise ValueError('a shell would run what is filled into its script; use "$1" or "$RECIPIENT" there instead')


def check_for_all(texts: Iterable[str]) -> None:
    """Templates for all recipients at once."""
    for text in texts:
        if names := RECIPIENT_NAMES & Template(text).names:
            raise ValueError(f"{text!r}: {{{min(names)}}} needs per_recipient = true; only {{recipient}} alone repeats")
