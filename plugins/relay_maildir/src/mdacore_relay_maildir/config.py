"""The configuration of a maildir relay, and what can be said about it before anything is started."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import attrs

from mdacore import Context, Problem
from mdacore_relay_maildir.folder import FolderTemplate
from mdacore_relay_maildir.maildirs import objection_to

DEFAULT_FOLDER = "{domain}/{local}"


def _check_template(_: object, __: object, text: str) -> None:
    FolderTemplate(text)


@attrs.frozen(kw_only=True)
class MaildirConfig:
    """``[relays.<name>] kind = "maildir"``."""

    path: Path = attrs.field(
        default=Path("maildirs"), metadata={"help": "The folder of all maildirs; relative to the state folder."}
    )
    folder: str = attrs.field(
        default=DEFAULT_FOLDER,
        validator=_check_template,
        metadata={"help": "A recipient's maildir below `path`; {local}, {domain} and {address} are filled in."},
    )
    fold_case: bool = attrs.field(
        default=True, metadata={"help": "Deliver to Alice@ and alice@ in one maildir, named in lower case."}
    )
    line_ending: Literal["lf", "crlf"] = attrs.field(
        default="lf", metadata={"help": "How lines end in the files; maildir readers expect lf."}
    )
    workers: int = attrs.field(
        default=8,
        validator=[attrs.validators.ge(1), attrs.validators.le(256)],
        metadata={"help": "How many messages are written at once, each in a thread that mostly waits for the disk."},
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
