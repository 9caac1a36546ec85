"""The configuration of a maildir relay, and what can be said about it before anything is started."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import attrs

from mdacore import Context, Problem, SizeBytes
from mdacore_relay_maildir.folder import FolderTemplate
from mdacore_relay_maildir.kernel_aio import MAX_SYNCS
from mdacore_relay_maildir.subfolder import folder_of
from mdacore_relay_maildir.walk import objection_to

DEFAULT_FOLDER = "{domain}/{user}"


def _check_template(_: object, __: object, text: str) -> None:
    FolderTemplate(text)


def _check_delimiter(_: object, __: object, text: str) -> None:
    if not text.isprintable() or set(text) & set('/@"\\ '):
        raise ValueError(f"recipient_delimiter {text!r} cannot stand in an address")


def _check_subfolder(_: object, __: object, name: str) -> None:
    if name and not folder_of(name):
        raise ValueError(f"junk_folder {name!r} cannot be a folder in a maildir; its levels are separated by dots")


@attrs.frozen(kw_only=True)
class MaildirConfig:
    """``[relays.<name>] kind = "maildir"``."""

    path: Path = attrs.field(
        default=Path("maildirs"), metadata={"help": "The folder of all maildirs; relative to the state folder."}
    )
    folder: str = attrs.field(
        default=DEFAULT_FOLDER,
        validator=_check_template,
        metadata={"help": "A recipient's maildir below `path`; {domain}, {user} and the like are filled in."},
    )
    fold_case: bool = attrs.field(
        default=True, metadata={"help": "Deliver to Alice@ and alice@ in one maildir, named in lower case."}
    )
    recipient_delimiter: str = attrs.field(
        default="+",
        validator=_check_delimiter,
        metadata={"help": "What separates the user from a sub-address, as in bob+lists@; empty = nothing does."},
    )
    create_subfolders: int = attrs.field(
        default=0,
        validator=attrs.validators.ge(0),
        metadata={"help": "Make the sub-folder that a sub-address names while the maildir has fewer than this many."},
    )
    junk_folder: str = attrs.field(
        default="",
        validator=_check_subfolder,
        metadata={"help": "File messages with X-Spam-Status: YES in this sub-folder, like Junk; empty = nowhere else."},
    )
    quota_bytes: SizeBytes = attrs.field(
        default=SizeBytes(0),
        validator=attrs.validators.ge(SizeBytes(0)),
        metadata={"help": "How much a maildir with its sub-folders may hold (Maildir++ quota); 0 = any amount."},
    )
    quota_messages: int = attrs.field(
        default=0,
        validator=attrs.validators.ge(0),
        metadata={"help": "How many messages a maildir with its sub-folders may hold; 0 = any number."},
    )
    quota_full: Literal["reject", "defer"] = attrs.field(
        default="reject", metadata={"help": "Whether mail for a full mailbox fails for good or is tried again."}
    )
    line_ending: Literal["lf", "crlf"] = attrs.field(
        default="lf", metadata={"help": "How lines end in the files; maildir readers expect lf."}
    )
    workers: int = attrs.field(
        default=16,
        validator=[attrs.validators.ge(1), attrs.validators.le(256)],
        metadata={"help": "How many groups, and large messages, are written at once, each in a thread of its own."},
    )
    group_messages: int = attrs.field(
        default=64,
        validator=[attrs.validators.ge(1), attrs.validators.le(MAX_SYNCS)],
        metadata={"help": "How many small messages are written and synced together at most; 1 = each by itself."},
    )
    open_maildirs: int = attrs.field(
        default=128,
        validator=[attrs.validators.ge(0), attrs.validators.le(100_000)],
        metadata={"help": "How many maildirs stay open between messages, with three descriptors each; 0 = none."},
    )


def check(config: MaildirConfig, context: Context) -> Iterable[Problem]:
    """Whether `path` can be used or made by this user, as far as stat can tell."""
    root = context.resolve(config.path)
    nearest = next((path for path in (root, *root.parents) if os.access(path, os.F_OK)), Path("/"))
    if not nearest.is_dir():
        yield Problem("path", f"{nearest} is not a folder")
    elif not os.access(nearest, os.W_OK | os.X_OK):
        yield Problem("path", f"this user may not write into {nearest}")
    elif nearest == root and (objection := objection_to(root.stat())):
        yield Problem("path", f"{root} {objection}")
