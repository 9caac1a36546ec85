"""What is found wrong with a configuration before anything is started."""

from __future__ import annotations

import pytest
from gevent import socket

from mdacore import Problem
from mdacore_edge_smtp import LmtpConfig, SmtpConfig, SmtpEdge
from mdacore_edge_smtp.checks import check
from mdacore_edge_smtp.tls_config import CertificateConfig, TlsConfig

from .tls_files import make_pair


class TestListening:
    def test_a_missing_folder_of_a_unix_socket_is_a_problem(self, make_context, tmp_path):
        config = SmtpConfig(listen=("127.0.0.1:25", "unix:/nowhere/mda.sock"))

        assert [Problem("listen[1]", "there is no folder /nowhere")] == list(check(config, make_context()))

    def test_a_folder_that_is_there_or_is_the_state_folder_is_none(self, make_context, tmp_path):
        config = SmtpConfig(listen=("unix:/mda.sock", "unix:mda.sock"))

        assert [] == list(check(config, make_context(state_path=tmp_path / "made at start")))

    def test_a_missing_folder_under_the_state_folder_is_one_since_nobody_makes_it(self, make_context, tmp_path):
        config = SmtpConfig(listen=("unix:run/mda.sock",))

        assert [Problem("listen[0]", f"there is no folder {tmp_path / 'run'}")] == list(check(config, make_context()))

    COLLIDING = (
        (("127.0.0.1:25", "127.0.0.1:25"), "127.0.0.1:25"),
        (("0.0.0.0:25", "127.0.0.1:25"), "127.0.0.1:25"),
        (("127.0.0.1:25", "0.0.0.0:25"), "0.0.0.0:25"),
        (("[::]:25", "[::1]:25"), "[::1]:25"),
        (("[::1]:25", "[0:0::1]:25"), "[::1]:25"),
        (("[::]:25", "127.0.0.1:25"), "127.0.0.1:25"),
        (("127.0.0.1:25", "[::]:25"), "[::]:25"),
    )

    @pytest.mark.parametrize(("addresses", "second"), COLLIDING)
    def test_case_116_an_address_that_another_takes_is_a_problem(self, make_context, addresses, second):
        problem = Problem("listen[1]", f"{second} is taken by listen[0] already")

        assert [problem] == list(check(SmtpConfig(listen=addresses), make_context()))

    @pytest.mark.parametrize("addresses", [addresses for addresses, _ in COLLIDING[:2]])
    def test_case_116_and_it_could_not_have_been_bound(self, make_context, addresses):
        """So that the check and the start agree; the port is one that is free now."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        config = SmtpConfig(listen=tuple(f"{address.rpartition(':')[0]}:{port}" for address in addresses))

        with pytest.raises(OSError, match="Address already in use"):
            SmtpEdge(config, make_context()).bind()

    def test_case_116_one_unix_socket_twice_is_a_problem_however_it_is_written(self, make_context, tmp_path):
        config = SmtpConfig(listen=("unix:mda.sock", f"unix:{tmp_path}/mda.sock"))

        assert ["listen[1]"] == [problem.key for problem in check(config, make_context(state_path=tmp_path))]

    def test_case_116_in_clear_and_with_tls_too(self, make_context, tmp_path):
        crt, key = make_pair(tmp_path)
        tls = TlsConfig(certificates=(CertificateConfig(certificate=crt, key=key),))
        config = SmtpConfig(listen=("[::]:25",), listen_tls=("[::]:465", "[::]:25"), tls=tls)

        assert [Problem("listen_tls[1]", "[::]:25 is taken by listen[0] already")] == list(
            check(config, make_context())
        )

    @pytest.mark.parametrize(
        "addresses",
        [
            ("0.0.0.0:25", "[::]:25"),
            ("[::]:25", "0.0.0.0:25"),
            ("[::1]:25", "127.0.0.1:25"),
            ("127.0.0.1:25", "127.0.0.2:25"),
            ("0.0.0.0:25", "127.0.0.1:26"),
            ("127.0.0.1:0", "127.0.0.1:0", "0.0.0.0:0"),
            ("0.0.0.0:25", "[::1]:25"),
        ],
    )
    def test_what_goes_together_is_none(self, make_context, addresses):
        assert [] == list(check(SmtpConfig(listen=addresses), make_context()))

    @pytest.mark.parametrize("key", ["listen", "listen_tls"])
    def test_case_038_lmtp_on_port_25_is_a_problem(self, make_context, tmp_path, key):
        crt, pem = make_pair(tmp_path)
        tls = TlsConfig(certificates=(CertificateConfig(certificate=crt, key=pem),))
        addresses = {key: ("127.0.0.1:2424", "[::1]:25")}

        (problem,) = check(LmtpConfig(tls=tls, **addresses), make_context())

        assert f"{key}[1]" == problem.key
        assert [] == list(check(SmtpConfig(tls=tls, **addresses), make_context()))


class TestTls:
    @pytest.mark.parametrize(
        ("key", "value"), [("listen_tls", ("127.0.0.1:465",)), ("require_tls", True)], ids=["listen_tls", "require_tls"]
    )
    def test_what_needs_a_certificate_and_has_none_is_a_problem(self, make_context, key, value):
        assert [key] == [problem.key for problem in check(SmtpConfig(**{key: value}), make_context())]

    def test_case_045_a_bad_pair_is_a_problem(self, make_context, tmp_path):
        tls = TlsConfig(certificates=(CertificateConfig(certificate=tmp_path / "missing.crt"),))

        (problem,) = check(SmtpConfig(tls=tls), make_context())

        assert "tls.certificates[0].certificate" == problem.key

    def test_a_good_one_is_none(self, make_context, tmp_path):
        crt, key = make_pair(tmp_path)
        tls = TlsConfig(certificates=(CertificateConfig(certificate=crt, key=key),))

        assert [] == list(check(SmtpConfig(tls=tls, listen_tls=("127.0.0.1:465",), require_tls=True), make_context()))


class TestNetworks:
    @pytest.mark.parametrize("key", ["proxy_protocol_from", "xclient_from", "trusted_networks"])
    def test_believing_much_of_the_internet_is_a_problem(self, make_context, key):
        config = SmtpConfig(**{key: ("10.0.0.0/8", "0.0.0.0/0", "::/0")})

        assert [f"{key}[1]", f"{key}[2]"] == [problem.key for problem in check(config, make_context())]
