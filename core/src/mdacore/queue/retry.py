"""When a deferred message is tried again, and for how long. Pure: no clock, no random source of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs

from mdacore.words import Recipient, domain_of, parse_seconds

DEFAULT_RETRY = "1m, 5m*3, 15m*2, 30m, 1h*2, 2h*"
"""Quick at first, for a greylisting or a restart, then every two hours: RFC 5321 §4.5.4.1 asks for 30 minutes or more
once the first tries have failed."""
DEFAULT_JITTER = 0.1

_STEP = re.compile(r"([^*]+?)\s*(?:\*\s*(\d*))?")


@attrs.frozen
class RetrySchedule:
    """The delays after the first, second, … failed attempt; the last one repeats until the lifetime is over.

    Attributes:
        delays_s: one for each failed attempt, at least one.
        jitter: each delay is changed by up to this share of itself, so that what failed together is spread.
    """

    delays_s: tuple[float, ...] = attrs.field()
    jitter: float = attrs.field(default=DEFAULT_JITTER, validator=[attrs.validators.ge(0), attrs.validators.le(1)])

    @delays_s.validator
    def _check_delays(self, _: attrs.Attribute[tuple[float, ...]], delays_s: tuple[float, ...]) -> None:
        if not delays_s or min(delays_s) <= 0:
            raise ValueError("a retry schedule has at least one delay, and every delay is longer than 0 s")

    @classmethod
    def parse(cls, text: str, *, jitter: float = DEFAULT_JITTER) -> RetrySchedule:
        """Read ``"1m, 5m*3, 30m, 2h*"``: ``*3`` means three times; the last delay repeats, with or without its ``*``.

        Raises:
            ValueError: with a sentence for the operator.
        """
        delays_s: list[float] = []
        steps = [step.strip() for step in text.split(",")]
        for index, step in enumerate(steps):
            match = _STEP.fullmatch(step)
            if match is None:
                raise ValueError(f"retry schedule {text!r}: {step!r} is not a step like 5m or 5m*3")
            if match[2] == "" and index < len(steps) - 1:
                raise ValueError(f"retry schedule {text!r}: only the last step may repeat for ever")
            times = int(match[2] or 1)
            if not 1 <= times <= 1000:
                raise ValueError(f"retry schedule {text!r}: {step!r} repeats less than once or more than 1000 times")
            delays_s += [float(parse_seconds(match[1]))] * times
        return cls(tuple(delays_s), jitter=jitter)

    def delay_s(self, failed_attempts: int, chance: float) -> float:
        """How long to wait after this many failed attempts (from 1). `chance` is a random number from 0 to 1."""
        base_s = self.delays_s[min(failed_attempts, len(self.delays_s)) - 1]
        return base_s * (1 + self.jitter * (2 * chance - 1))


@attrs.frozen(kw_only=True)
class RetryRule:
    """How one domain's mail is tried: when, and for how long."""

    schedule: RetrySchedule
    lifetime_s: float


@attrs.frozen
class RetryRules:
    """Those of one queue: `by_domain` has the folded domains that are tried in another way.

    A message is tried again when the first of its recipients is due; each recipient has a lifetime of its own.
    """

    default: RetryRule
    by_domain: Mapping[str, RetryRule]

    def delay_s(self, recipients: Iterable[Recipient], failed_attempts: int, chance: float) -> float:
        """How long to wait after this many failed attempts (from 1) for these recipients, at least one."""
        if not self.by_domain:
            return self.default.schedule.delay_s(failed_attempts, chance)
        return min(self._of(recipient).schedule.delay_s(failed_attempts, chance) for recipient in recipients)

    def expired(self, recipients: Iterable[Recipient], age_s: float) -> frozenset[int]:
        """The numbers of those recipients for whom a message of this age has been tried for long enough."""
        return frozenset(rcpt.number for rcpt in recipients if age_s >= self._of(rcpt).lifetime_s)

    def lifetime_s(self, recipients: Iterable[Recipient]) -> float:
        """For how long the first of these to be given up is tried, at least one."""
        return min(self._of(recipient).lifetime_s for recipient in recipients)

    def _of(self, recipient: Recipient) -> RetryRule:
        return self.by_domain.get(domain_of(recipient.address), self.default) if self.by_domain else self.default
