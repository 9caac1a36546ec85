"""Until when a client is waited for."""

from __future__ import annotations

import pytest

from mdacore_edge_smtp.patience import Patience, Timeouts

TIMEOUTS = Timeouts(
    command_timeout_s=300,
    data_timeout_s=200,
    data_min_rate_bytes=500,
    send_timeout_s=60,
    session_timeout_s=3600,
    handshake_timeout_s=30,
)


@pytest.fixture
def patience() -> Patience:
    return Patience(TIMEOUTS, 1000.0)


class TestCommands:
    def test_a_new_session_has_the_time_of_a_command(self, patience):
        assert 1300 == patience.deadline_at

    def test_each_turn_of_the_client_begins_anew(self, patience):
        patience.expect_command(1100.0)

        assert 1400 == patience.deadline_at

    def test_the_session_has_a_limit_in_all(self, patience):
        patience.expect_command(4500.0)

        assert 4600 == patience.deadline_at


class TestMessages:
    def test_a_message_may_begin_within_its_timeout(self, patience):
        patience.expect_message(1010.0)

        assert 1210 == patience.deadline_at

    def test_case_103_octets_that_trickle_in_gain_what_the_minimum_rate_says(self, patience):
        """One octet every ten seconds: over within a second of the timeout."""
        patience.expect_message(1000.0)
        now = 1000.0
        while now <= patience.deadline_at:
            now += 10
            patience.note_message_grown(1, now)

        assert now < 1200 + 11

    def test_a_steady_client_may_take_as_long_as_the_session(self, patience):
        patience.expect_message(1000.0)
        for now in range(1010, 4500, 10):
            patience.note_message_grown(500 * 10, float(now))
            assert patience.deadline_at > now

    def test_a_fast_start_does_not_pay_for_silence(self, patience):
        patience.expect_message(1000.0)

        patience.note_message_grown(10_000_000, 1001.0)

        assert 1201 == patience.deadline_at


class TestReplies:
    def test_taking_our_replies_has_its_own_limit(self, patience):
        """Case 104."""
        patience.expect_acceptance(1000.0)

        assert 1060 == patience.deadline_at

    def test_also_when_the_session_is_over(self, patience):
        patience.expect_acceptance(5000.0)

        assert 5060 == patience.deadline_at


def test_a_handshake_counts_from_its_beginning_whatever_is_sent_meanwhile(patience):
    patience.expect_handshake(1000.0)
    patience.expect_acceptance(1020.0)

    patience.expect_handshake(1000.0)

    assert 1030 == patience.deadline_at


def test_the_shortest_timeout_is_told():
    assert 30 == TIMEOUTS.shortest_s
