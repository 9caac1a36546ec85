"""What a configuration says about recipients, relaying and users that cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from mdacore import Chain, Problem
from mdacore_edge_smtp import SmtpConfig
from mdacore_edge_smtp.checks import check
from mdacore_edge_smtp.mail_checks import mail_problems
from mdacore_edge_smtp.tls_config import CertificateConfig, TlsConfig

USERS = Chain(auth=(lambda *_: None,))
TLS = TlsConfig(certificates=(CertificateConfig(certificate=Path("cert.pem")),))


class TestValues:
    @pytest.mark.parametrize(
        "values",
        [
            {"recipients": ("bob",)},
            {"recipients": ("@",)},
            {"recipients": ("bob@example.test\r\n",)},
            {"catch_all": "everybody"},
            {"postmaster": "postmaster"},
            {"recipient_delimiter": "@"},
            {"recipient_delimiter": "\n"},
            {"relay_networks": ("10.0.0.1/8",)},
            {"xclient_from": ("proxy.example",)},
            {"domains": ("grü ße.example",)},
            {"max_messages": 0},
            {"max_auth_failures": 0},
            {"line_ends": "keep"},
        ],
        ids=str,
    )
    def test_case_116_a_value_that_cannot_work_is_refused(self, values):
        with pytest.raises(ValueError, match="."):  # noqa: RUF043 (each has its own sentence)
            SmtpConfig(**values)

    def test_domains_and_recipients_may_be_in_unicode(self):
        SmtpConfig(domains=("grüße.example",), recipients=("jörg@grüße.example", "@xn--gre-6ka8l.example"))


class TestChecks:
    @pytest.fixture
    def keys(self, make_context):
        """The keys of what is wrong."""

        def check_all(validators: Chain | None = None, **config) -> list[str]:
            config.setdefault("domains", ("example.test",))
            return [problem.key for problem in mail_problems(SmtpConfig(**config), make_context(validators=validators))]

        return check_all

    def test_the_defaults_are_fine(self, keys):
        assert [] == keys()

    def test_a_recipient_in_another_domain_gets_nothing(self, keys):
        recipients = ("bob@example.test", "bob@elsewhere.test", "@Example.Test", "@elsewhere.test")

        assert ["recipients[1]", "recipients[3]"] == keys(recipients=recipients)

    def test_a_catch_all_needs_somebody_who_is_known(self, keys):
        assert ["catch_all"] == keys(catch_all="bob@example.test")
        assert [] == keys(catch_all="bob@example.test", recipients=("bob@example.test",))

    def test_bad_lines_of_the_file_are_told_by_file_and_line(self, make_context, tmp_path):
        (tmp_path / "recipients").write_text("bob@example.test OK\nnonsense\neve@example.test FORWARD\n")
        config = SmtpConfig(recipients_file=Path("recipients"))

        problems = list(check(config, make_context()))

        assert [
            Problem("recipients_file", f"{tmp_path}/recipients:2: this is not an address and an action"),
            Problem(
                "recipients_file",
                f"{tmp_path}/recipients:3: the action 'FORWARD' is none of OK, REJECT, DEFER and a reply that begins "
                "with 4 or 5",
            ),
        ] == problems

    def test_a_missing_file_is_told(self, keys):
        assert ["recipients_file"] == keys(recipients_file=Path("missing"))

    def test_case_116_an_open_relay_is_refused(self, keys):
        networks = ("10.0.0.0/8", "0.0.0.0/0", "::/0", "fd00::/16", "128.0.0.0/1")

        assert ["relay_networks[1]", "relay_networks[2]", "relay_networks[4]"] == keys(relay_networks=networks)

    @pytest.mark.parametrize("key", ["relay_for_authenticated", "require_auth"])
    def test_users_need_somebody_who_knows_them_and_a_safe_way_to_say_who_they_are(self, keys, key):
        assert [key] == keys(**{key: True, "tls": TLS})
        assert [key] == keys(USERS, **{key: True})
        assert [] == keys(USERS, **{key: True, "tls": TLS})
        assert [] == keys(USERS, **{key: True, "auth_without_tls": True})
        assert [] == keys(**{key: True, "xclient_from": ("192.0.2.1",)})
