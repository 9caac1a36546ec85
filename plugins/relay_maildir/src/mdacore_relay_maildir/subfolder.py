"""Folders inside a maildir, as Maildir++ has them: ``Lists.Python`` is the folder ``.Lists.Python``. Pure.

Invariant: what `folder_of` gives is ``""`` or one plain name that begins with one dot and has no slash.
"""

from __future__ import annotations

from base64 import b64encode
from itertools import groupby

import attrs

from mdacore_relay_maildir.folder import MAX_NAME_BYTES, Folder

MARK = "maildirfolder"
"""The empty file that tells a sub-folder from a maildir that stands alone."""


@attrs.frozen
class Place:
    """Where a message goes: into a maildir, or into one of its sub-folders (``".Junk"``)."""

    maildir: Folder
    subfolder: str = ""

    @property
    def path(self) -> Folder:
        """The names from the root down."""
        return (*self.maildir, self.subfolder) if self.subfolder else self.maildir


def folder_of(name: str) -> str:
    """The folder of a mailbox with this name; dots separate the levels of its hierarchy.

    ``""`` for INBOX, which is the maildir itself, and for what cannot be a mailbox: with a slash, with what cannot be
    printed, too long, or with an empty level (Maildir++ has no folders that begin with two dots).
    """
    if name.upper() == "INBOX" or "/" in name or not name.isprintable() or not all(name.split(".")):
        return ""
    folder = f".{_modified_utf7(name)}"
    return folder if len(folder) <= MAX_NAME_BYTES else ""


def _modified_utf7(text: str) -> str:
    """Mailbox names as IMAP servers keep them (RFC 3501 §5.1.3); all ASCII."""
    runs = groupby(text, key=lambda character: " " <= character <= "~")
    return "".join(_run(is_ascii, "".join(characters)) for is_ascii, characters in runs)


def _run(is_ascii: bool, text: str) -> str:
    if is_ascii:
        return text.replace("&", "&-")
    return f"&{b64encode(text.encode('utf-16-be'), b'+,').decode().rstrip('=')}-"
