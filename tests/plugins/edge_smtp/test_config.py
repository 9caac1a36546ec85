"""The configuration: what it refuses, and the provider that offers it."""

from __future__ import annotations

import pytest

import mdacore_edge_smtp
from mdacore_edge_smtp import LmtpConfig, SmtpConfig, SmtpEdge


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
            {"listen_tls": ("127.0.0.1:70000",)},
            {"proxy_protocol_from": ("10.0.0.1/8",)},
            {"proxy_timeout_s": 0},
            {"greet_delay_s": 61},
            {"max_sessions_per_address": -1},
            {"max_sessions_per_network": -1},
            {"max_new_sessions_a_minute": -1},
            {"max_auth_failures_an_hour": -1},
            {"trusted_networks": ("nonsense",)},
            {"max_inflight_bytes": 0},
        ],
        ids=str,
    )
    def test_case_116_a_value_that_cannot_work_is_refused(self, values):
        with pytest.raises(ValueError):
            SmtpConfig(**values)


class TestProviders:
    def test_the_plugin_offers_smtp_as_its_default_kind_and_lmtp(self, make_context):
        smtp, lmtp = mdacore_edge_smtp.mdacore_edges()

        assert ("smtp", True, SmtpConfig) == (smtp.kind, smtp.default, smtp.config)
        assert ("lmtp", False, LmtpConfig) == (lmtp.kind, lmtp.default, lmtp.config)

    @pytest.mark.parametrize("config", [SmtpConfig(), LmtpConfig()])
    def test_each_kind_is_built_from_its_defaults(self, make_context, config):
        provider = next(each for each in mdacore_edge_smtp.mdacore_edges() if each.config is type(config))

        assert isinstance(provider.build(config, make_context()), SmtpEdge)
