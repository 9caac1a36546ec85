"""The validator that knows users from a file, by its contract and at a real edge under TLS."""

from __future__ import annotations

import smtplib
import subprocess
import sys
import threading

import gevent
import pytest

from mdacore import Credentials, Identity, Status
from mdacore.testing import ValidatorsContract

from .programs import EXAMPLES, ask_smtp, module_of

FILE = EXAMPLES / "password_file/mdacore_policy_password_file.py"
NAME, PASSWORD = "alice@example.com", "Grüße, 1234"


@pytest.fixture(scope="module")
def plugin():
    return module_of(FILE)


@pytest.fixture(scope="module")
def line(plugin):
    return plugin.line_of(NAME, PASSWORD)


@pytest.fixture
def users(line, tmp_path):
    """A file with one user."""
    path = tmp_path / "users"
    path.write_text(f"# users\n\n{line}\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def policy(plugin, users, mdacore_context):
    policy = plugin.PasswordFile(plugin.PasswordFileConfig(path=users), mdacore_context())
    policy.start()
    yield policy
    policy.stop()


def asked(policy, secret=PASSWORD, name=NAME, authzid=""):
    credentials = Credentials(mechanism="PLAIN", authcid=name, authzid=authzid, secret=secret)
    return policy.check(None, credentials)  # it does not look at the session


class TestAnswers:
    def test_who_knows_the_password_is_who_he_says(self, policy):
        assert Identity(name=NAME) == asked(policy)

    def test_a_password_is_the_same_in_another_normal_form(self, policy):
        assert Identity(name=NAME) == asked(policy, "Gru\u0308ße, 1234")

    @pytest.mark.parametrize(
        "said", [{"secret": "x"}, {"secret": ""}, {"name": "eve@example.com"}, {"authzid": "eve@example.com"}]
    )
    def test_nobody_else_is_known(self, policy, said):
        """Also who would act for another user (RFC 4422 §3.4.1)."""
        assert asked(policy, **said) is None

    def test_an_unknown_user_costs_one_hash_like_a_known_one(self, plugin, policy, monkeypatch):
        salts = []
        computed = plugin.hash_of
        monkeypatch.setattr(plugin, "hash_of", lambda secret, salt: salts.append(salt) or computed(secret, salt))

        asked(policy, name="eve@example.com")
        asked(policy, "wrong")

        assert 2 == len(salts)

    def test_others_run_while_a_password_is_compared(self, plugin, policy, monkeypatch):
        others_ran, computed = threading.Event(), plugin.hash_of

        def wait_for_others(secret, salt):
            assert others_ran.wait(30)
            return computed(secret, salt)

        monkeypatch.setattr(plugin, "hash_of", wait_for_others)

        asking = gevent.spawn(asked, policy)
        gevent.idle()
        others_ran.set()

        assert Identity(name=NAME) == asking.get()


class TestFile:
    def test_a_change_counts_at_once(self, plugin, policy, users):
        users.write_text(f"{users.read_text()}{plugin.line_of(NAME, 'new')}\n")

        assert asked(policy) is None
        assert Identity(name=NAME) == asked(policy, "new")

    @pytest.mark.parametrize("text", [f"{NAME}:secret", "a:scrypt:00:zz", "a:md5:00:00", "a:scrypt:\xff:00"])
    def test_a_wrong_line_locks_out_for_a_while_and_is_never_told(self, policy, users, mdacore_log, text):
        users.write_bytes(text.encode("latin-1"))

        reply = asked(policy)

        assert (454, "4.7.0") == (reply.code, reply.enhanced)
        assert Status.DEGRADED is policy.health().status
        assert text not in str(mdacore_log.one("passwords.unreadable").fields)

    def test_it_works_again_with_the_file(self, policy, users, line):
        users.unlink()
        asked(policy)
        users.write_text(line)

        assert Identity(name=NAME) == asked(policy)
        assert Status.OK is policy.health().status

    def test_check_names_what_is_wrong(self, plugin, users, mdacore_context):
        config = plugin.PasswordFileConfig(path=users)

        def problems():
            return [problem.text for problem in plugin.check(config, mdacore_context())]

        assert [] == problems()
        users.chmod(0o604)
        assert [f"everybody on this machine may read {users}: chmod o= is missing"] == problems()
        users.write_text("# users\nalice\n")
        assert [f"{users} cannot be used: line 2 is not NAME:scrypt:SALT:HASH"] == problems()
        users.unlink()
        assert ["No such file" in text for text in problems()] == [True]


class TestCommand:
    def test_it_prints_a_line_for_the_file(self, plugin, policy, users):
        done = subprocess.run(
            [sys.executable, FILE, "bob@example.com"], input="hers\n", capture_output=True, text=True, check=True
        )
        users.write_text(done.stdout)

        assert Identity(name="bob@example.com") == asked(policy, "hers", "bob@example.com")

    def test_an_empty_password_is_refused(self):
        done = subprocess.run([sys.executable, FILE, NAME], input="\n", capture_output=True, text=True)

        assert (1, "") == (done.returncode, done.stdout)


class TestContract(ValidatorsContract):
    @pytest.fixture(autouse=True)
    def cheap(self, users):
        """A module of its own, with hashes that take no time: the suite asks some hundred times."""
        self.plugin, self.users = module_of(FILE), users
        self.plugin.SCRYPT = {"n": 16, "r": 8, "p": 1}

    def make_policy(self, context):
        return self.plugin.PasswordFile(self.plugin.PasswordFileConfig(path=self.users), context)


@pytest.mark.needs("openssl")
class TestAtAnEdge:
    def test_login_needs_tls_and_the_right_password(self, mdacore_service, plugin, users, certificate):
        edge = {
            "kind": "smtp", "listen": ["127.0.0.1:0"], "domains": ["example.com"], "validators": ["users"],
            "require_auth": True, "tls": {"certificates": [certificate.table]},
        }  # fmt: skip
        tables = {"edges": {"submission": edge}, "policies": {"users": {"kind": "password_file", "path": str(users)}}}
        service = mdacore_service(tables, plugins=["edge_smtp", plugin])

        def talk(client: smtplib.SMTP) -> list[int]:
            client.ehlo()
            in_clear = client.docmd("AUTH", "PLAIN AGEAYg==")[0]
            client.starttls(context=certificate.trusted)
            client.ehlo()
            unknown = client.mail(NAME)[0]
            with pytest.raises(smtplib.SMTPAuthenticationError) as wrong:
                client.login(NAME, "wrong")
            return [in_clear, unknown, wrong.value.smtp_code, client.login(NAME, "hers")[0], client.mail(NAME)[0]]

        users.write_text(plugin.line_of(NAME, "hers"))  # smtplib has ASCII only

        assert [538, 530, 535, 235, 250] == ask_smtp(talk, service.address())
        assert [NAME] == [line["identity"] for line in service.log.of("edge.authenticated")]
        assert "hers" not in str(service.log.events)
