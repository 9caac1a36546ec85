"""``mdacore lda-check``: run a delivery program through what can happen to it, and show what mdacore makes of each.

What is done is in `trials`; in here are the command line and how the outcome reads.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import click

from mdacore import Reply, Seconds, split_address
from mdacore_relay_lda import kinds
from mdacore_relay_lda.config import PipeConfig
from mdacore_relay_lda.trials import FULL, Addresses, Trial, run_trials

_MAX_SHOWN_CHARS = 100


@click.command(name="lda-check")
@click.option("--recipient", default="", help="An address that exists; it gets a test message. By default you, here.")
@click.option("--unknown", default="", help="An address that does not exist; by default a name in the same domain.")
@click.option("--full", default="", help="An address whose mailbox is full; by default a stand-in shows what would be.")
@click.option("--sender", default="", help="The sender of the test messages; by default the null sender.")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0.1), default=30.0, help="Seconds for each process.")
@click.option("--postfix", is_flag=True, help='Judge as with exit_table = "postfix".')
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def lda_check(
    command: tuple[str, ...],
    recipient: str,
    timeout_s: float,
    *,
    unknown: str,
    full: str,
    sender: str,
    postfix: bool,
) -> None:
    """Try a delivery program: mdacore lda-check -- /usr/bin/prog -d {recipient}

    COMMAND is what `command` in a relay of the kind `pipe` would be; a bare dovecot-lda or maildrop is called as their
    own kinds do. It runs for --recipient, who gets a test message, for an address that should not exist, and for one
    whose mailbox is full, if you name it. Everything else that can happen is shown with stand-ins. Ends with 1 if the
    test message was not delivered.
    """
    config = _config(_whole(command), timeout_s, is_postfix=postfix)
    recipient = recipient or f"{_own_name()}@{socket.gethostname()}"
    unknown = unknown or f"no-such-user-here@{split_address(recipient)[1]}"
    addresses = Addresses(sender=sender, known=recipient, unknown=unknown, full=full)
    _show_head(config.command, addresses)
    trials: list[Trial] = []
    for trial in run_trials(config, addresses):  # each is shown as it ends: the program may take its time
        if trial.is_standin and not (trials and trials[-1].is_standin):
            click.echo("\nElse, shown with stand-ins that end as such a program does:")
        _show(trial)
        trials.append(trial)
    for_known, for_unknown, *_ = trials
    click.echo("".join(f"\n{note}" for note in _notes(for_known, for_unknown)), nl=False)
    click.echo()
    if not for_known.delivery.reply.is_success:
        raise SystemExit(1)


def _whole(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command with its program's path, and with the arguments of its own kind where none are given."""
    path = shutil.which(command[0]) if "/" not in command[0] else command[0]
    if path is None:
        raise click.UsageError(f"no program {command[0]!r} in $PATH; name it by its path")
    if len(command) > 1:
        return (path, *command[1:])
    return kinds.known_command(Path(path)) or (path,)


def _config(command: tuple[str, ...], timeout_s: float, *, is_postfix: bool) -> PipeConfig:
    table: Literal["postfix", "sysexits"] = "postfix" if is_postfix else "sysexits"
    try:
        return PipeConfig(command=command, timeout_s=Seconds(timeout_s), exit_table=table)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _own_name() -> str:
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a user without an entry, as in a container
        return str(uid)


def _show_head(command: Sequence[str], addresses: Addresses) -> None:
    facts = {
        "command": shlex.join(command),
        "runs as": f"{_own_name()} (uid {os.geteuid()})",
        "sender": f"<{addresses.sender}>",
        "recipient": f"<{addresses.known}>",
        "unknown user": f"<{addresses.unknown}>",
    }
    facts |= {FULL: f"<{addresses.full}>"} if addresses.full else {}
    for name, text in facts.items():
        click.echo(f"{name:<14}{text}")
    click.echo("\nThe program itself:")


def _show(trial: Trial) -> None:
    """What mdacore makes of it, and under it how the process ended, with what it said as far as that is news."""
    delivery = trial.delivery
    reply, said = str(delivery.reply), _said(trial)
    ended = str(delivery.result or "not started")
    click.echo(f"  {trial.name:<22}{_verdict(delivery.reply):<11}{_short(reply)}")
    click.echo(f"  {'':<22}{ended}{'' if said in reply else f': {_short(said)}'}{'' if said else ', silent'}")


def _said(trial: Trial) -> str:
    return trial.delivery.result.said if trial.delivery.result else trial.delivery.cause


def _notes(known: Trial, unknown: Trial) -> Iterator[str]:
    if not known.delivery.reply.is_success:
        yield "The test message was not delivered."
        if known.delivery.result:
            yield "--recipient names an address that exists."
        if not _said(known):
            yield "What went wrong may be in the program's own log."
    elif unknown.delivery.reply.is_success:
        yield "The unknown user got mail, too: either there is one (--unknown names another),"
        yield "or the program does not look at its recipient."
    elif unknown.delivery.reply.is_transient:
        yield "Mail for unknown users would be tried for days."
        yield "If the program has a status of its own for them, exit_table can say what it means."


def _verdict(reply: Reply) -> str:
    if reply.is_success:
        return "delivered"
    return "bounced" if reply.is_permanent else "deferred"


def _short(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN_CHARS else text[: _MAX_SHOWN_CHARS - 1] + "…"
