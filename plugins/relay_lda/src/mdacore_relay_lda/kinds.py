"""The kinds: how each of them calls its program, and what the program is known to say. Pure but for `check`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from mdacore import Context, Problem
from mdacore_relay_lda.config import DovecotLdaConfig, LdaConfig, MaildropConfig, PipeConfig
from mdacore_relay_lda.delivery import Deliverer
from mdacore_relay_lda.program import Program
from mdacore_relay_lda.relay import LdaRelay
from mdacore_relay_lda.template import Template
from mdacore_relay_lda.values import Addressing
from mdacore_relay_lda.verdict import DOVECOT_LDA, MAILDROP, POSTFIX, SAYINGS, SYSEXITS, Saying, Verdicts, parse_table


def dovecot_lda(config: DovecotLdaConfig, context: Context) -> LdaRelay:
    """Always with ``-e``: without it dovecot-lda sends bounces itself and ends with 0."""
    argv = [str(config.path), "-f", "{sender}", "-a", "{original_recipient}"]
    argv += ["-d", config.user] if config.user else []
    program = _program(config, [*argv, "-e", *config.extra_args])
    return LdaRelay(_deliverer(config, context, program, DOVECOT_LDA), context)


def maildrop(config: MaildropConfig, context: Context) -> LdaRelay:
    """Manual mode with a filter file, delivery mode without."""
    argv = [str(config.path), "-f", "{sender}", *config.extra_args]
    argv += ["-d", config.user] if config.user and not config.filter else []
    argv += ["--", config.filter] if config.filter else ["--"]
    program = _program(config, [*argv, *config.args])
    return LdaRelay(_deliverer(config, context, program, MAILDROP), context)


def pipe(config: PipeConfig, context: Context) -> LdaRelay:
    """Any program."""
    return LdaRelay(pipe_deliverer(config, context, known_as=config.command[0]), context)


def pipe_deliverer(config: PipeConfig, context: Context, *, known_as: str) -> Deliverer:
    """A program that is known by its name is understood as its own kind would be."""
    program = _program(config, config.command, is_per_recipient=config.per_recipient)
    return _deliverer(config, context, program, SAYINGS.get(Path(known_as).name, ()))


def check(config: DovecotLdaConfig | MaildropConfig | PipeConfig, context: Context) -> Iterable[Problem]:
    """Whether this user can execute the program and use or make the folder, as far as stat can tell."""
    key, path = ("command", Path(config.command[0])) if isinstance(config, PipeConfig) else ("path", config.path)
    if not path.exists():
        yield Problem(key, f"{path}: no such program")
    elif not path.is_file() or not os.access(path, os.X_OK):
        yield Problem(key, f"{path} is not a program that this user may execute")
    folder = context.resolve(config.temporary_path)
    nearest = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        yield Problem("temporary_path", f"{nearest} is not a folder that this user may write into")


def _program(config: LdaConfig, argv: Iterable[str], *, is_per_recipient: bool = True) -> Program:
    return Program(
        argv=tuple(map(Template, argv)),
        environment={name: Template(text) for name, text in config.environment.items()},
        addressing=Addressing(
            null_sender=config.null_sender,
            recipient_delimiter=config.recipient_delimiter,
            folds_case=config.fold_case,
            allows_dash=config.allow_leading_dash,
        ),
        is_per_recipient=is_per_recipient,
    )


def _deliverer(config: LdaConfig, context: Context, program: Program, sayings: tuple[Saying, ...]) -> Deliverer:
    verdicts = Verdicts(
        own=parse_table(config.exit_table) if isinstance(config.exit_table, Mapping) else {},
        table=POSTFIX if config.exit_table == "postfix" else SYSEXITS,
        sayings=sayings,
        shows_output=config.show_output,
    )
    return Deliverer(config, context, program=program, verdicts=verdicts)
