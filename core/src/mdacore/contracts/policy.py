"""Policy: looks at a session or an envelope and changes it, splits it or refuses it.

A policy component says once, at assembly, at which points it takes part (`parts`); what runs for each message is
compiled from that. Verdicts are raised: Rejection, Deferral, Discard, Hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from mdacore.contracts.component import Component
from mdacore.contracts.relay import Attempt
from mdacore.contracts.session import Validators
from mdacore.words import Envelope


class QueuePolicy(Protocol):
    """Runs once for a message, at the end of data, before it is stored and before the client gets its reply."""

    def __call__(self, envelope: Envelope, /) -> Sequence[Envelope]:
        """The envelope, changed or not, or the parts that it was split into; each goes on to the next policy.

        The envelope is immutable and bodies are shared, never copied. None, an empty result and anything that is not
        an Envelope are faults. All queue policies of a message together have 240 s, each has its `deadline_s`.

        Raises:
            Rejection, Deferral: the whole message is refused with that reply and nothing of it is stored.
            Discard: this part is dropped, with the reason on record.
            Hold: this part is stored as held.
            Exception: `on_error` decides: defer (451 4.3.0), accept (as if the policy were not there) or reject.
        """


class RelayPolicy(Protocol):
    """Runs before each attempt; what it changes is not persisted. The place for what should not make a client wait."""

    def __call__(self, envelope: Envelope, attempt: Attempt, /) -> Envelope:
        """The envelope as this attempt is to send it: same recipients, by number.

        Raises:
            Rejection, Deferral: the reply of every recipient; nothing is sent.
            Discard, Hold: what becomes of the message.
            Exception: `on_error` decides; the default defers.
        """


@attrs.frozen(kw_only=True)
class PolicyParts:
    """Where one policy takes part; a misspelt part is a TypeError when the service is assembled."""

    queue_policy: QueuePolicy | None = None
    relay_policy: RelayPolicy | None = None
    validators: Validators | None = None


class Policy(Component, Protocol):
    """A component that judges and changes."""

    def parts(self) -> PolicyParts:
        """Where it takes part. Called once, after `build` and before `start`; no I/O."""
