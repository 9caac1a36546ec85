"""What a configuration may say, and what is found wrong with it before anything is started."""

from __future__ import annotations

import attrs
import pytest

from mdacore import Problem
from mdacore_policy_spamassassin import SpamAssassinConfig, mdacore_policies
from mdacore_policy_spamassassin.config import check


class TestValues:
    def test_the_defaults_work_with_spamd_as_it_is_packaged(self):
        config = SpamAssassinConfig()

        assert ("127.0.0.1:783", "queue", 512_000, None) == (
            config.address,
            config.at,
            config.max_scan_bytes,
            config.reject_score,
        )

    @pytest.mark.parametrize(
        "keys",
        [
            {"address": "localhost"},
            {"user": "bob\r\nX-Evil: 1"},
            {"user": "b" * 256},
            {"timeout_s": 0.0},
            {"concurrency": 0},
            {"max_scan_bytes": -1},
            {"remove_fields": ("X-Spam-Flag", "X Spam")},
            {"remove_fields": ("",)},
            {"reject_score": 0.0},
        ],
    )
    def test_what_cannot_work_is_refused(self, keys):
        with pytest.raises(ValueError):
            SpamAssassinConfig(**keys)

    def test_a_message_that_was_accepted_cannot_be_refused_any_more(self):
        """A rejection at that point bounces to a sender who is most likely forged."""
        with pytest.raises(ValueError, match='needs at = "queue"'):
            SpamAssassinConfig(at="relay", reject_score=15.0)


class TestCheck:
    def test_a_socket_that_is_not_there_yet_is_no_problem(self, context):
        assert [] == list(check(SpamAssassinConfig(address="unix:no/such/folder/spamd.sock"), context))

    def test_a_path_too_long_for_a_socket_is_a_problem_once_it_is_resolved(self, context):
        room = 107 - len(bytes(context.state_path)) - 1

        problems = list(check(SpamAssassinConfig(address=f"unix:{'s' * (room + 1)}"), context))

        assert [] == list(check(SpamAssassinConfig(address=f"unix:{'s' * room}"), context))
        assert [Problem("address", problems[0].text)] == problems
        assert str(context.state_path) in problems[0].text


class TestProvider:
    def test_it_is_offered_as_the_default_kind(self):
        (provider,) = mdacore_policies()

        assert ("spamassassin", True, check) == (provider.kind, provider.default, provider.check)

    def test_no_key_takes_the_name_of_one_of_the_cores(self):
        names = {field.name for field in attrs.fields(SpamAssassinConfig)}

        assert set() == names & {"kind", "on_error", "deadline_s"}
