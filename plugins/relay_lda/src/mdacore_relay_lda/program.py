"""Program: which command a delivery runs, made from an envelope. Pure; nothing is started in here.

Invariant: a Command is complete: what is not in it does not reach the program. No shell ever reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from mdacore import Envelope, QueueId, Recipient
from mdacore_relay_lda.template import Template
from mdacore_relay_lda.values import Account, Addressing, variables

REPEATED = "{recipient}"
"""The argument that becomes one for each recipient, where one process serves all."""


@attrs.frozen(kw_only=True)
class Command:
    """What is executed: UTF-8 octets, as the system wants them.

    Attributes:
        argv: the program's absolute path and its arguments.
        environment: all of it.
    """

    argv: tuple[bytes, ...]
    environment: Mapping[bytes, bytes]


@attrs.frozen(kw_only=True)
class Program:
    """How a kind of LDA is called.

    Attributes:
        argv: one template an argument, the program's path first.
        environment: the operator's own variables; they win.
        is_per_recipient: one process for each recipient. If not, an argument that is ``{recipient}`` alone becomes one
            argument for each, in the order of the envelope.
    """

    argv: tuple[Template, ...]
    environment: Mapping[str, Template] = attrs.field(factory=dict)
    addressing: Addressing = attrs.field(factory=Addressing)
    is_per_recipient: bool = True

    @property
    def path(self) -> str:
        """What is executed, for people."""
        return self.argv[0].text

    def groups(self, envelope: Envelope) -> list[tuple[Recipient, ...]]:
        """Who shares a process. One whose address must not reach a program is by itself, so that it fails alone."""
        if self.is_per_recipient:
            return [(recipient,) for recipient in envelope.recipients]
        unsafe = [recipient for recipient in envelope.recipients if not self.addressing.is_safe(recipient)]
        safe = tuple(recipient for recipient in envelope.recipients if recipient not in unsafe)
        return [*((recipient,) for recipient in unsafe), *([safe] if safe else [])]

    def command(
        self, envelope: Envelope, recipients: Sequence[Recipient], queue_id: QueueId, account: Account
    ) -> Command:
        """The command for these recipients: exactly one if `is_per_recipient`.

        Raises:
            UnsafeValue: something in the envelope must not reach a program.
        """
        values = [self.addressing.values(envelope, recipient, queue_id) for recipient in recipients]
        common = values[0] if self.is_per_recipient else self.addressing.values(envelope, None, queue_id)
        arguments: list[str] = []
        for template in self.argv:
            repeats = not self.is_per_recipient and template.text == REPEATED
            arguments += [self._expand(template, each) for each in (values if repeats else [common])]
        environment = account.environment() | variables(common)
        environment |= {name: template.expand(common, allows_dash=True) for name, template in self.environment.items()}
        return Command(
            argv=tuple(argument.encode() for argument in arguments),
            environment={name.encode(): value.encode() for name, value in environment.items()},
        )

    def _expand(self, template: Template, values: Mapping[str, str]) -> str:
        return template.expand(values, allows_dash=self.addressing.allows_dash)
