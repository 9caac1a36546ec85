"""The kinds: how each of them calls its program, and what the program is known to say. Pure but for `check`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from mdacore import Context, Problem
from mdacore_relay_lda.child import HelperLauncher
from mdacore_relay_lda.config import DovecotLdaConfig, LdaConfig, MaildropConfig, PipeConfig
from mdacore_relay_lda.delivery import Deliverer
from mdacore_relay_lda.program import Program, UserProgram
from mdacore_relay_lda.relay import LdaRelay
from mdacore_relay_lda.template import Template
from mdacore_relay_lda.values import Addressing
from mdacore_relay_lda.verdict import DOVECOT_LDA, MAILDROP, POSTFIX, SAYINGS, SYSEXITS, Saying, Verdicts, parse_table


def dovecot_lda(config: DovecotLdaConfig, context: Context) -> LdaRelay:
    """Dovecot's own."""
    program = _program(config, _dovecot_lda_argv(config))
    return LdaRelay(_deliverer(config, context, program, DOVECOT_LDA), context)


def maildrop(config: MaildropConfig, context: Context) -> LdaRelay:
    """Courier's."""
    program = _program(config, _maildrop_argv(config))
    return LdaRelay(_deliverer(config, context, program, MAILDROP), context)


def pipe(config: PipeConfig, context: Context) -> LdaRelay:
    """Any program."""
    return LdaRelay(pipe_deliverer(config, context, known_as=config.command[0]), context)


def pipe_deliverer(config: PipeConfig, context: Context, *, known_as: str) -> Deliverer:
    """A program that is known by its name is understood as its own kind would be."""
    program = _program(config, config.command, is_per_recipient=config.per_recipient)
    return _deliverer(config, context, program, SAYINGS.get(Path(known_as).name, ()))


def known_command(path: Path) -> tuple[str, ...] | None:
    """How the program's own kind calls it by default, if it has one."""
    if path.name == "dovecot-lda":
        return tuple(_dovecot_lda_argv(DovecotLdaConfig(path=path)))
    return tuple(_maildrop_argv(MaildropConfig(path=path))) if path.name == "maildrop" else None


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


def _dovecot_lda_argv(config: DovecotLdaConfig) -> list[str]:
    """Always with ``-e``: without it dovecot-lda sends bounces itself and ends with 0."""
    argv = [str(config.path), "-f", "{sender}", "-a", "{original_recipient}"]
    argv += ["-d", config.user] if config.user else []
    return [*argv, "-e", *config.extra_args]


def _maildrop_argv(config: MaildropConfig) -> list[str]:
    """Manual mode with a filter file, delivery mode without."""
    argv = [str(config.path), "-f", "{sender}", *config.extra_args]
    argv += ["-d", config.user] if config.user and not config.filter else []
    argv += ["--", config.filter] if config.filter else ["--"]
    return [*argv, *config.args]


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
        user=Template(config.run_as) if config.run_as else None,
    )


def _deliverer(config: LdaConfig, context: Context, program: Program, sayings: tuple[Saying, ...]) -> Deliverer:
    verdicts = Verdicts(
        own=parse_table(config.exit_table) if isinstance(config.exit_table, Mapping) else {},
        table=POSTFIX if config.exit_table == "postfix" else SYSEXITS,
        sayings=sayings,
        shows_output=config.show_output,
    )
    launcher = None if program.user is None else _helper_launcher(context, UserProgram(program, program.user))
    return Deliverer(config, context, program=program, verdicts=verdicts, launcher=launcher)


def _helper_launcher(context: Context, program: UserProgram) -> HelperLauncher:
    try:
        return HelperLauncher(context.spawning.register(program))
    except ValueError as error:
        raise ValueError(f"run_as: {error}") from error
