"""The configuration: what it refuses, and the provider that offers it."""

from __future__ import annotations

import pytest

import mdacore_edge_smtp
from mdacore import Problem
from mdacore_edge_smtp import SmtpConfig, SmtpEdge
from mdacore_edge_smtp.config import check


class TestValues:
    def test_the_defaults_are_legal_and_closed(self):
        config = SmtpConfig()

        assert ("127.0.0.1:2525",) == config.listen
        assert () == config.domains

    @pytest.mark.parametrize(
        "values",
        [
            {"listen": ()},
            {"listen": ("127.0.0.1:70000",)},
            {"listen": ("127.0.0.1:25", "nonsense")},
            {"domains": ("a b",)},
            {"domains": ("",)},
            {"domains": ("*",)},
            {"hostname": "mx example"},
            {"max_message_size_bytes": 0},
            {"max_excess_bytes": -1},
            {"max_recipients": 99},
            {"max_hops": 29},
            {"max_line_bytes": 511},
            {"max_errors": 0},
            {"max_idle_commands": 0},
            {"error_delay_s": -1},
            {"max_sessions": 0},
            {"command_timeout_s": 0},
            {"data_timeout_s": 0},
            {"data_min_rate_bytes": 0},
            {"send_timeout_s": 0},
            {"session_timeout_s": 0},
            {"spool_threshold_bytes": 0},
        ],
        ids=str,
    )
    def test_case_116_a_value_that_cannot_work_is_refused(self, values):
        with pytest.raises(ValueError):
            SmtpConfig(**values)


class TestCheck:
    def test_a_missing_folder_of_a_unix_socket_is_a_problem(self, make_context, tmp_path):
        config = SmtpConfig(listen=("127.0.0.1:25", "unix:/nowhere/mda.sock"))

        assert [Problem("listen[1]", "there is no folder /nowhere")] == list(check(config, make_context()))

    def test_a_folder_that_is_there_or_under_the_state_folder_is_none(self, make_context, tmp_path):
        config = SmtpConfig(listen=("unix:/mda.sock", "unix:run/mda.sock"))

        assert [] == list(check(config, make_context()))


class TestProvider:
    def test_the_plugin_offers_smtp_as_its_default_kind(self, make_context):
        (provider,) = mdacore_edge_smtp.mdacore_edges()

        assert ("smtp", True, SmtpConfig) == (provider.kind, provider.default, provider.config)
        assert isinstance(provider.build(SmtpConfig(), make_context()), SmtpEdge)
