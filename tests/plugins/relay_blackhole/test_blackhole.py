"""The blackhole relay answers as told."""

from __future__ import annotations

from typing import Any

import attrs
import gevent
import pytest

from mdacore import Context, Health, Recipient, Reply, Seconds
from mdacore.testing import ManualClock, make_attempt, make_context, make_envelope
from mdacore_relay_blackhole import BlackholeConfig, BlackholeRelay, mdacore_relays

ATTEMPT = make_attempt()
ENVELOPE = make_envelope(
    recipients=(Recipient(number=2, address="a@b.example"), Recipient(number=5, address="c@d.example"))
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def context(clock: ManualClock) -> Context:
    return make_context("relays.nowhere", clock=clock)


class TestAttempt:
    def test_default_delivers_every_recipient_to_nowhere(self, context: Context) -> None:
        replies = BlackholeRelay(BlackholeConfig(), context).attempt(ENVELOPE, ATTEMPT)

        assert dict.fromkeys((2, 5), Reply(code=250, enhanced="2.0.0", text="Delivered to nowhere")) == replies

    @pytest.mark.parametrize("reply", ["451 4.3.0 Not now", "550 5.1.1 Nobody"])
    def test_configured_reply_is_given(self, context: Context, reply: str) -> None:
        replies = BlackholeRelay(BlackholeConfig(reply=reply), context).attempt(ENVELOPE, ATTEMPT)

        assert {reply} == set(map(str, replies.values()))

    def test_first_attempts_are_deferred_when_that_is_wanted(self, context: Context) -> None:
        relay = BlackholeRelay(BlackholeConfig(fail_first=2), context)

        codes = [relay.attempt(ENVELOPE, attrs.evolve(ATTEMPT, number=number))[2].code for number in (1, 2, 3)]

        assert [451, 451, 250] == codes

    def test_delayed_reply_comes_when_its_time_has_come(self, context: Context, clock: ManualClock) -> None:
        relay = BlackholeRelay(BlackholeConfig(delay_s=Seconds(2.0)), context)
        attempt = gevent.spawn(relay.attempt, ENVELOPE, ATTEMPT)
        gevent.idle()

        clock.advance(1.9)
        is_early = attempt.ready()
        clock.advance(0.2)

        assert not is_early
        assert {2, 5} == set(attempt.get(timeout=60))

    def test_without_a_delay_no_other_greenlet_runs_in_between(self, context: Context) -> None:
        relay = BlackholeRelay(BlackholeConfig(), context)
        other = gevent.spawn(lambda: None)

        relay.attempt(ENVELOPE, ATTEMPT)

        assert not other.ready()
        other.join()

    def test_destination_is_always_the_same(self, context: Context) -> None:
        assert "" == BlackholeRelay(BlackholeConfig(), context).destination(ENVELOPE)


class TestConfig:
    @pytest.mark.parametrize("reply", ["", "Ok", "354 Go ahead", "250 4.0.0 Ok", "250 two\r\nlines"])
    def test_what_is_no_answer_to_a_delivery_is_refused(self, reply: str) -> None:
        with pytest.raises(ValueError):
            BlackholeConfig(reply=reply)

    @pytest.mark.parametrize("config", [{"delay_s": -1.0}, {"fail_first": -1}])
    def test_negative_number_is_refused(self, config: dict[str, Any]) -> None:
        with pytest.raises(ValueError):
            BlackholeConfig(**config)

    def test_it_is_the_plugin_s_default_kind(self) -> None:
        (provider,) = mdacore_relays()

        assert ("blackhole", True) == (provider.kind, provider.default)


class TestLife:
    def test_it_starts_drains_and_stops(self, context: Context) -> None:
        relay = BlackholeRelay(BlackholeConfig(), context)

        relay.start()

        assert Health() == relay.health()
        assert relay.drain(0)
        relay.stop()
        relay.stop()
