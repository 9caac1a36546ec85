"""What templates are filled in with, and the environment of a delivery: a list of what is allowed, nothing inherited.

Pure. Invariant: no value that comes from a message has a control character, or the mark by which old shells took a
variable for a function (CVE-2014-6271).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from mdacore import Account, Envelope, QueueId, Recipient, fold_domain, printable, split_address
from mdacore_relay_lda.template import UnsafeValue

SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_FUNCTION_MARK = "() {"
_VARIABLES = {
    "SENDER": "sender",
    "RECIPIENT": "recipient",
    "ORIGINAL_RECIPIENT": "original_recipient",
    "LOCAL": "local",
    "DOMAIN": "domain",
    "EXTENSION": "extension",
    "QUEUE_ID": "queue_id",
}


@attrs.frozen(kw_only=True)
class Addressing:
    """How addresses become values.

    Attributes:
        null_sender: stands for the null sender.
        recipient_delimiter: what separates user and extension in a local part; ``""`` = there are no extensions.
        folds_case: the user is given in lower case.
        allows_dash: addresses that begin with ``-`` are taken.
    """

    null_sender: str = ""
    recipient_delimiter: str = "+"
    folds_case: bool = True
    allows_dash: bool = False

    def mailbox(self, address: str) -> tuple[str, str]:
        """Equal for two addresses of one mailbox, with or without an extension."""
        local, domain = split_address(address)
        return self.user_and_extension(local)[0], fold_domain(domain)

    def user_and_extension(self, local: str) -> tuple[str, str]:
        """Split a local part at its first delimiter, which is not its first character. A quoted one has none."""
        at = local.find(self.recipient_delimiter, 1) if self.recipient_delimiter and local[:1] != '"' else -1
        user, extension = (local, "") if at < 0 else (local[:at], local[at + len(self.recipient_delimiter) :])
        return (user.lower() if self.folds_case else user), extension

    def is_safe(self, recipient: Recipient) -> bool:
        """Whether this recipient may reach a program."""
        try:
            self._recipient_values(recipient)
        except UnsafeValue:
            return False
        return True

    def values(self, envelope: Envelope, recipient: Recipient | None, queue_id: QueueId) -> dict[str, str]:
        """By name; those of `RECIPIENT_NAMES` only for one recipient.

        Raises:
            UnsafeValue: the sender or the recipient must not reach a program.
        """
        client = envelope.client
        values = {
            "sender": self._safe(envelope.sender) or self.null_sender,
            "queue_id": queue_id,
            "client_ip": _told(client.ip),
            "client_host": _told(client.host),
            "client_helo": _told(client.helo),
            "client_protocol": _told(client.protocol),
            "client_identity": _told(client.identity),
        }
        return values if recipient is None else values | self._recipient_values(recipient)

    def _recipient_values(self, recipient: Recipient) -> dict[str, str]:
        local, domain = split_address(self._safe(recipient.address))
        user, extension = self.user_and_extension(local)
        return {
            "recipient": recipient.address,
            "original_recipient": self._safe(recipient.original_address) or recipient.address,
            "user": user,
            "extension": extension,
            "local": local,
            "domain": fold_domain(domain),
        }

    def _safe(self, address: str) -> str:
        if _CONTROL.search(address) or _FUNCTION_MARK in address:
            raise UnsafeValue(f"an address with control characters or a function mark: {address[:80]!r}")
        if address.startswith("-") and not self.allows_dash:
            raise UnsafeValue(f"an address that begins like an option: {address[:80]!r}")
        return address


def environment_of(account: Account) -> dict[str, str]:
    """The variables that every program of this user gets, whatever the message."""
    return {
        "PATH": SEARCH_PATH,
        "HOME": account.home,
        "LOGNAME": account.name,
        "USER": account.name,
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
    }


def _told(text: str) -> str:
    """What a client says about itself is no reason to refuse a message: made harmless instead."""
    return printable(text).replace(_FUNCTION_MARK, "()")


def variables(values: Mapping[str, str]) -> dict[str, str]:
    """The environment's part that tells about the message."""
    return {variable: values[name] for variable, name in _VARIABLES.items() if name in values}
