"""The blackhole relay: answers as told and delivers nowhere. Offers the kind ``blackhole``.

Everything of it is in here. Invariant: it answers each recipient, and with no delay configured it never yields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs
from gevent.event import Event

from mdacore import Attempt, Context, Envelope, Health, Provider, Reply, Seconds, hookimpl

__all__ = ["BlackholeConfig", "BlackholeRelay", "mdacore_relays"]

DEFAULT_REPLY = "250 2.0.0 Delivered to nowhere"
NOT_YET = Reply(code=451, enhanced="4.4.1", text="Told to refuse the first attempts")


def _check_reply(_: object, __: object, text: str) -> None:
    if Reply.parse(text).code // 100 == 3:
        raise ValueError(f"{text!r} is no answer to a delivery: 2yz, 4yz or 5yz is")


@attrs.frozen(kw_only=True)
class BlackholeConfig:
    """``[relays.<name>] kind = "blackhole"``."""

    reply: str = attrs.field(
        default=DEFAULT_REPLY,
        validator=_check_reply,
        metadata={"help": "The answer for every recipient: 2yz delivers to nowhere, 4yz defers, 5yz fails."},
    )
    delay_s: Seconds = attrs.field(
        default=Seconds(0.0),
        validator=attrs.validators.ge(Seconds(0.0)),
        metadata={"help": "How long each attempt takes."},
    )
    fail_first: int = attrs.field(
        default=0,
        validator=attrs.validators.ge(0),
        metadata={"help": "How many attempts of each message are deferred before `reply` is given."},
    )


class BlackholeRelay:
    """A relay without a next hop, for tests, for measuring and for mail that nobody wants."""

    def __init__(self, config: BlackholeConfig, context: Context) -> None:
        self._config = config
        self._clock = context.clock
        self._reply = Reply.parse(config.reply)
        self._in_hand = 0
        self._is_idle = Event()
        self._is_idle.set()

    def start(self) -> None:
        """Nothing to acquire."""

    def drain(self, grace_s: float) -> bool:
        """Wait for the attempts that take their time."""
        return self._is_idle.wait(grace_s)

    def stop(self) -> None:
        """Nothing to release."""

    def health(self) -> Health:
        """Always well."""
        return Health()

    def destination(self, envelope: Envelope) -> str:  # noqa: ARG002 - the contract's signature
        """Nowhere is one place."""
        return ""

    def attempt(self, envelope: Envelope, attempt: Attempt) -> Mapping[int, Reply]:
        """The configured reply for each recipient, after the configured delay."""
        if self._config.delay_s:
            self._take_time()
        reply = NOT_YET if attempt.number <= self._config.fail_first else self._reply
        return {recipient.number: reply for recipient in envelope.recipients}

    def _take_time(self) -> None:
        self._in_hand += 1
        self._is_idle.clear()
        try:
            self._clock.sleep(self._config.delay_s)
        finally:
            self._in_hand -= 1
            if not self._in_hand:
                self._is_idle.set()


@hookimpl
def mdacore_relays() -> Iterable[Provider[BlackholeConfig, Context, BlackholeRelay]]:
    """One kind, which is the default."""
    yield Provider(kind="blackhole", config=BlackholeConfig, build=BlackholeRelay, api=1, default=True)
