"""Pairs of files: which are used, for whom, and what happens when they change (case 45)."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys

import pytest

from mdacore import Problem
from mdacore_edge_smtp.certificates import Certificates, pairs_of, problems_of
from mdacore_edge_smtp.tls_config import CertificateConfig, TlsConfig

from .tls_files import expire, make_pair


@pytest.fixture
def pair(tmp_path):
    return make_pair(tmp_path)


def config_of(*pairs) -> TlsConfig:
    return TlsConfig(certificates=tuple(CertificateConfig(certificate=crt, key=key) for crt, key in pairs))


@pytest.fixture
def make(make_context):
    def make(*pairs) -> Certificates:
        config = config_of(*pairs)
        certificates = Certificates(pairs_of(config, make_context()), config)
        certificates.load()
        return certificates

    return make


def encrypt(certificate, key) -> None:
    subprocess.run(
        ["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", key.with_suffix(".new")],
        check=True,
    )
    key.with_suffix(".new").replace(key)


@contextlib.contextmanager
def as_it_is_loaded(act):
    """Act once when OpenSSL is about to open the files."""

    def look(frame, event, function):
        if event == "c_call" and function.__name__ == "load_cert_chain":
            sys.setprofile(None)
            act()

    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(None)


def swap_key(certificate, key) -> None:
    (key.parent / "other").mkdir()
    _, other = make_pair(key.parent / "other")
    other.replace(key)


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def make_fifo(path) -> None:
    path.unlink()
    os.mkfifo(path)


FAULTS = [
    (lambda crt, key: crt.unlink(), "certificate", "cannot read .*: No such file"),
    (lambda crt, key: key.unlink(), "key", "cannot read .*: No such file"),
    (lambda crt, key: crt.write_text("nonsense"), "", "not whole, or not in PEM"),
    (lambda crt, key: cut(crt), "", "not whole, or not in PEM"),
    (lambda crt, key: cut(key), "", "not whole, or not in PEM"),
    (lambda crt, key: key.write_text(""), "", "not whole, or not in PEM"),
    (swap_key, "", "the key does not belong to the certificate"),
    (encrypt, "key", "is encrypted"),
    (lambda crt, key: make_fifo(crt), "certificate", "is not a file"),
    (lambda crt, key: make_fifo(key), "key", "is not a file"),
    (expire, "certificate", "certificate has expired"),
]


@pytest.mark.parametrize(("damage", "part", "sentence"), FAULTS)
class TestFaults:
    def test_case_045_a_bad_pair_is_a_problem_of_the_configuration(self, pair, make_context, damage, part, sentence):
        damage(*pair)

        (problem,) = problems_of(config_of(pair), make_context())

        assert "tls.certificates[0]" + (f".{part}" if part else "") == problem.key
        assert re.search(sentence, problem.text)

    def test_case_045_a_bad_pair_never_replaces_a_good_one(self, pair, make, damage, part, sentence):
        certificates = make(pair)
        before = certificates.choose("")
        damage(*pair)

        assert certificates.reload()

        assert before is certificates.choose("")
        assert certificates.refused
        assert certificates.complaint(0.0)


class TestReload:
    def test_case_045_a_changed_pair_is_taken_up(self, pair, make, tmp_path):
        certificates = make(pair)
        before = certificates.choose("")
        make_pair(tmp_path)

        assert certificates.reload()

        assert before is not certificates.choose("")
        assert "" == certificates.complaint(0.0)

    def test_files_that_stay_as_they_are_are_not_read_again(self, pair, make):
        certificates = make(pair)
        before = certificates.choose("")

        assert not certificates.reload()

        assert before is certificates.choose("")

    def test_a_refused_change_is_told_once_and_its_repair_is_taken_up(self, pair, make, tmp_path):
        certificates = make(pair)
        good = pair[1].read_bytes()
        pair[1].write_text("half")

        assert [True, False] == [certificates.reload(), certificates.reload()]
        pair[1].write_bytes(good)
        assert certificates.reload()
        assert "" == certificates.refused

    def test_a_pair_that_goes_while_it_is_read_is_refused_and_what_comes_after_is_taken_up(self, pair, make, tmp_path):
        """Some programs replace files by unlink and link. What escaped here would end the watch for good."""
        certificates = make(pair)
        pair[1].write_text("changed")
        hidden = tmp_path / "hidden"

        with as_it_is_loaded(lambda: pair[1].rename(hidden)):
            assert certificates.reload()

        assert "No such file" in certificates.refused
        make_pair(tmp_path)
        assert certificates.reload()
        assert "" == certificates.refused

    def test_one_that_expires_while_it_is_used_is_complained_of(self, pair, make):
        certificates = make(pair)

        assert "" == certificates.complaint(certificates.expires_at - 1)
        assert "a certificate has expired" == certificates.complaint(certificates.expires_at + 1)


class TestChoice:
    def test_a_name_gets_its_certificate_and_any_other_the_first(self, make, tmp_path):
        first = make_pair(tmp_path, "mx.example.com", stem="first")
        second = make_pair(tmp_path, "mx.example.org", "*.example.net", stem="second")
        certificates = make(first, second)
        by_name = {name: certificates.choose(name) for name in ("mx.example.com", "mx.example.org")}

        assert by_name["mx.example.com"] is not by_name["mx.example.org"]
        for name in ("", "elsewhere.test", "example.net", "a.b.example.net"):
            assert by_name["mx.example.com"] is certificates.choose(name)
        assert by_name["mx.example.org"] is certificates.choose("a.example.net")

    def test_of_two_for_one_name_the_first_is_used(self, make, tmp_path):
        first, second = (make_pair(tmp_path, "mx.example.com", stem=stem) for stem in ("first", "second"))

        assert (certificates := make(first, second)).choose("") is certificates.choose("mx.example.com")

    def test_case_044_each_edge_has_contexts_and_so_tickets_of_its_own(self, pair, make):
        assert make(pair).choose("") is not make(pair).choose("")


class TestProblems:
    def test_a_good_pair_is_none(self, pair, make_context):
        assert [] == list(problems_of(config_of(pair), make_context()))

    def test_both_in_one_file_are_enough(self, pair, make_context, tmp_path):
        both = tmp_path / "both.pem"
        both.write_bytes(pair[0].read_bytes() + pair[1].read_bytes())
        both.chmod(0o600)
        config = TlsConfig(certificates=(CertificateConfig(certificate=both),))

        assert [] == list(problems_of(config, make_context()))

    def test_case_116_a_key_that_everybody_may_read_is_one(self, pair, make_context):
        pair[1].chmod(0o644)

        (problem,) = problems_of(config_of(pair), make_context())

        assert ("tls.certificates[0].key", True) == (problem.key, "chmod" in problem.text)

    def test_a_good_pair_is_none_where_the_machine_is_configured_for_tls_1_2_at_most(self, pair, tmp_path):
        """OpenSSL reads its configuration once in a process."""
        config = tmp_path / "openssl.cnf"
        config.write_text("openssl_conf=a\n[a]\nssl_conf=b\n[b]\nsystem_default=c\n[c]\nMaxProtocol=TLSv1.2\n")
        program = (
            "import pathlib, sys; from mdacore_edge_smtp.certificates import Pair, prove;"
            "crt, key = map(pathlib.Path, sys.argv[1:]);"
            "print(*prove(Pair(key_path='', certificate=crt, key=key), min_version='1.2').names)"
        )

        proven = subprocess.run(
            [sys.executable, "-c", program, *pair],
            env={**os.environ, "OPENSSL_CONF": str(config)},
            check=True,
            capture_output=True,
            text=True,
        )

        assert "mx.example.com\n" == proven.stdout

    def test_all_pairs_are_looked_at(self, pair, make_context, tmp_path):
        missing = (tmp_path / "a", tmp_path / "b")

        assert [
            Problem(f"tls.certificates[{index}].certificate", f"cannot read {missing[0]}: No such file or directory")
            for index in (0, 2)
        ] == list(problems_of(config_of(missing, pair, missing), make_context()))
