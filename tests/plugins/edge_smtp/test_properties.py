"""The protocol against its reference: any octets, cut in any way, under any answers.

`MDACORE_SMTP_EXAMPLES=100000` makes it as long as you like, and random; without, it is the same each time.
"""

from __future__ import annotations

import os

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdacore_edge_smtp.protocol import CLOSED, NEED_DATA, NEED_TLS, MessageOctets, MessageRefused

from .protocol_proof import expect_misuse, kind_of, new_protocol, observe, problem_of, replies_in
from .reference import Said, Scenario, expected
from .talk import (
    ANSWERS,
    HELLOS,
    LENIENT_RULES,
    OCTETS,
    OCTETS_IN_CLEAR,
    OTHERS,
    PATIENT,
    PROXIES,
    TRANSACTIONS,
    scenarios,
)

EXAMPLES = int(os.environ.get("MDACORE_SMTP_EXAMPLES", "0"))
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def bounded(max_examples: int) -> settings:
    return settings(
        max_examples=EXAMPLES or max_examples, derandomize=not EXAMPLES, database=None, deadline=None,
        suppress_health_check=SLOW,
    )  # fmt: skip


class TestAgainstTheReference:
    @bounded(2000)
    @given(scenarios())
    def test_it_says_and_asks_what_the_reference_does(self, scenario):
        assert "" == problem_of(scenario)

    @bounded(300)
    @given(st.binary(max_size=300), scenarios(octets=st.just(b"")))
    def test_octets_that_mean_nothing_too(self, octets, scenario):
        assert "" == problem_of(attrs.evolve(scenario, pieces=(octets[:100], octets[100:])))


class TestAnySplit:
    @bounded(500)
    @given(scenarios(OCTETS_IN_CLEAR, LENIENT_RULES))
    def test_how_the_octets_are_cut_changes_nothing(self, scenario):
        """Where a client may speak ahead. The octets of a refused message may stop earlier or later."""
        whole = attrs.evolve(scenario, pieces=(b"".join(scenario.pieces),))

        in_pieces, at_once = observe(scenario), observe(whole)

        assert at_once.items == in_pieces.items
        assert at_once.end == in_pieces.end
        assert expected(whole).messages == expected(scenario).messages


class TestMisuse:
    @bounded(300)
    @given(scenarios())
    def test_what_the_caller_must_not_do_raises_and_changes_nothing(self, scenario):
        assert observe(scenario) == observe(scenario, is_nosy=True)


LINES = [
    line for line in [*HELLOS, *TRANSACTIONS, *OTHERS, *PROXIES, b"EXPN\r\n"]
    if line.endswith(b"\r\n") and not line.startswith((b"DATA\r", b"QUIT", b"GET"))
]  # fmt: skip
"""Commands that each get one reply."""


class TestReplies:
    @bounded(300)
    @given(st.lists(st.sampled_from(LINES), max_size=20), st.lists(st.integers(0, 5), min_size=1), st.booleans())
    def test_each_command_gets_one_reply(self, lines, choices, is_lmtp):
        scenario = Scenario(pieces=tuple(lines), rules=PATIENT, is_lmtp=is_lmtp, choices=(0, *choices))

        seen = observe(scenario)

        count = sum(isinstance(item, Said) for item in seen.items) - 1  # without the greeting
        if seen.end == "waiting":
            assert len(lines) == count
        else:
            assert 0 <= count <= len(lines)

    @bounded(200)
    @given(st.integers(1, 5), ANSWERS.filter(lambda choices: not {5, 6, 7} & {*choices}), st.booleans())
    def test_each_message_gets_one_reply_and_over_lmtp_one_for_each_recipient(self, rcpt_count, choices, is_lmtp):
        octets = b"MAIL FROM:<a@b>\r\n" + b"RCPT TO:<c@d>\r\n" * rcpt_count + b"DATA\r\nx\r\n.\r\n"
        hello = b"LHLO c\r\n" if is_lmtp else b"EHLO c\r\n"
        rules = attrs.evolve(PATIENT, max_recipients=9)
        scenario = Scenario(pieces=(hello, octets), rules=rules, is_lmtp=is_lmtp, choices=(0, 0, 0, *choices))

        seen = observe(scenario)
        kinds = [getattr(item, "kind", "") for item in seen.items]

        if "MessageEnded" in kinds:
            accepted = sum(
                item.code == 250 and kinds[number - 1] == "RcptCommand" for number, item in enumerate(seen.items)
                if isinstance(item, Said)
            )  # fmt: skip
            after = len(kinds) - 1 - kinds.index("MessageEnded")
            assert (accepted if is_lmtp else 1) == after


class TestTheEnd:
    @bounded(200)
    @given(scenarios(), OCTETS)
    def test_nothing_comes_out_of_a_closed_protocol(self, scenario, more):
        protocol = new_protocol(scenario)
        protocol.next_event()
        protocol.close(reason="over")
        protocol.data_to_send()

        for piece in (*scenario.pieces, more):
            protocol.receive(piece)
            assert CLOSED is protocol.next_event()

        assert b"" == protocol.data_to_send()
        assert not protocol.is_message_open
        expect_misuse(protocol.tls_started)

    @bounded(200)
    @given(scenarios(), st.integers(0, 30))
    def test_it_may_be_closed_at_any_moment(self, scenario, moment):
        protocol = new_protocol(scenario)
        protocol.receive(b"".join(scenario.pieces))
        for _ in range(moment):
            event = protocol.next_event()
            if event in (NEED_DATA, NEED_TLS, CLOSED):
                break
            if not isinstance(event, (MessageOctets, MessageRefused)):
                protocol.answer(scenario.answer(0, kind_of(event)))

        protocol.close(reason="over")

        replies_in(protocol.data_to_send())
        assert CLOSED is protocol.next_event()
        assert b"" == protocol.data_to_send()
