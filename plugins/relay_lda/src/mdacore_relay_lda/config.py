"""The configuration of the three kinds. Data only: what may stand there is checked in `checks`, what becomes of it is
in `kinds`. The keys that all kinds share stand in `LdaConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import attrs
from attrs.validators import ge, gt, le

from mdacore import Seconds, SizeBytes
from mdacore_relay_lda.checks import (
    check_command,
    check_environment,
    check_exit_table,
    check_for_all,
    check_program,
    check_template,
    check_templates,
    check_text,
)
from mdacore_relay_lda.program import REPEATED


@attrs.frozen(kw_only=True)
class LdaConfig:
    """What the three kinds have in common."""

    timeout_s: Seconds = attrs.field(
        default=Seconds(300.0),
        validator=gt(Seconds(0.0)),
        metadata={"help": "How long one process may run; then it gets SIGTERM, and the recipient is deferred."},
    )
    kill_grace_s: Seconds = attrs.field(
        default=Seconds(5.0),
        validator=ge(Seconds(0.0)),
        metadata={"help": "How long after SIGTERM the whole process group gets SIGKILL."},
    )
    run_as: str = attrs.field(
        default="",
        validator=check_template,
        metadata={
            "help": 'The system user to run it as: "vmail", "{user}"; empty = the service\'s; needs spawn_helper.'
        },
    )
    concurrency_per_recipient: int = attrs.field(
        default=1, validator=ge(1), metadata={"help": "How many processes may deliver into one mailbox at once."}
    )
    mailbox_wait_s: Seconds = attrs.field(
        default=Seconds(5.0),
        validator=ge(Seconds(0.0)),
        metadata={"help": "How long a delivery waits for its mailbox; then it is deferred and leaves its place."},
    )
    return_path: bool = attrs.field(
        default=True, metadata={"help": "Put a Return-Path field with the sender on top (RFC 5321, 4.4)."}
    )
    delivered_to: bool = attrs.field(
        default=True,
        metadata={"help": "Put a Delivered-To field on top, and refuse a message that has this recipient's already."},
    )
    line_ending: Literal["lf", "crlf"] = attrs.field(
        default="lf", metadata={"help": "How lines end in what the program reads."}
    )
    null_sender: str = attrs.field(
        default="",
        validator=check_text,
        metadata={"help": "What {sender} is for the null sender; empty stays an empty argument."},
    )
    recipient_delimiter: str = attrs.field(
        default="+",
        validator=check_text,
        metadata={"help": "What separates {user} and {extension}; empty = there are no extensions."},
    )
    fold_case: bool = attrs.field(
        default=True, metadata={"help": "Give {user} in lower case, so that Bob@ and bob@ are one mailbox."}
    )
    allow_leading_dash: bool = attrs.field(
        default=False,
        metadata={"help": "Take addresses that begin with a dash; the program must not take them for options."},
    )
    environment: Mapping[str, str] = attrs.field(
        factory=dict,
        validator=check_environment,
        metadata={"help": "More variables for the program; {sender} and the like are filled in."},
    )
    exit_table: Literal["sysexits", "postfix"] | Mapping[str, str] = attrs.field(
        default="sysexits",
        validator=check_exit_table,
        metadata={"help": 'What exit statuses mean: "sysexits", "postfix", or a table like { "67" = "550 5.1.1" }.'},
    )
    show_output: bool = attrs.field(
        default=True,
        metadata={"help": "Put what the program says into replies, and so into notices to the sender."},
    )
    output_max: SizeBytes = attrs.field(
        default=SizeBytes(4096),
        validator=[ge(SizeBytes(0)), le(SizeBytes(1_000_000))],
        metadata={"help": "How much of the program's output is kept; the rest is read and dropped."},
    )
    memory_max: SizeBytes = attrs.field(
        default=SizeBytes(262_144),
        validator=ge(SizeBytes(0)),
        metadata={"help": "Messages up to this size are given to the program in memory, larger ones in a file."},
    )
    temporary_path: Path = attrs.field(
        default=Path("tmp"),
        metadata={"help": "The folder of those files, which have no name there; relative to the state folder."},
    )
    writers: int = attrs.field(
        default=2,
        validator=[ge(1), le(64)],
        metadata={"help": "How many of those files are written at once, each in a thread."},
    )


@attrs.frozen(kw_only=True)
class DovecotLdaConfig(LdaConfig):
    """``[relays.<name>] kind = "dovecot_lda"``."""

    path: Path = attrs.field(
        default=Path("/usr/lib/dovecot/dovecot-lda"),
        validator=check_program,
        metadata={"help": "The program; /usr/libexec/dovecot/dovecot-lda on some systems."},
    )
    user: str = attrs.field(
        default="{recipient}",
        validator=check_template,
        metadata={"help": "Whose mailbox, as Dovecot's user database knows it (-d); empty = the service's own user."},
    )
    extra_args: tuple[str, ...] = attrs.field(
        default=(), validator=check_templates, metadata={"help": 'More arguments: ["-m", "{extension}"].'}
    )


@attrs.frozen(kw_only=True)
class MaildropConfig(LdaConfig):
    """``[relays.<name>] kind = "maildrop"``."""

    path: Path = attrs.field(
        default=Path("/usr/bin/maildrop"), validator=check_program, metadata={"help": "The program."}
    )
    user: str = attrs.field(
        default="{user}",
        validator=check_template,
        metadata={"help": "Whose mailbox, in delivery mode (-d); empty = the service's own. Unused with `filter`."},
    )
    filter: str = attrs.field(
        default="",
        validator=check_template,
        metadata={"help": "A filter file for all mail; the service's user owns it and its mode is 0600."},
    )
    extra_args: tuple[str, ...] = attrs.field(
        default=(), validator=check_templates, metadata={"help": 'More options: ["-w", "90"].'}
    )
    args: tuple[str, ...] = attrs.field(
        default=(), validator=check_templates, metadata={"help": "What filters see as $1, $2 and so on."}
    )


@attrs.frozen(kw_only=True)
class PipeConfig(LdaConfig):
    """``[relays.<name>] kind = "pipe"``."""

    command: tuple[str, ...] = attrs.field(
        validator=check_command,
        metadata={"help": 'The program\'s absolute path and its arguments: ["/usr/bin/prog", "-d", "{recipient}"].'},
    )
    per_recipient: bool = attrs.field(
        default=True,
        metadata={"help": "One process for each recipient; else one for all, whose end is the answer for all."},
    )

    @per_recipient.validator
    def _check_per_recipient(self, _: attrs.Attribute[bool], per_recipient: bool) -> None:
        if not per_recipient:
            check_for_all(
                [*(text for text in self.command if text != REPEATED), *self.environment.values(), self.run_as]
            )
