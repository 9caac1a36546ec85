"""Final delivery by the real dovecot-lda: alone, and with a user database behind it."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import gevent
import pytest

from mdacore_relay_lda import DovecotLdaConfig, kinds

LDA = "/usr/lib/dovecot/dovecot-lda"
DOVECOT = "/usr/sbin/dovecot"
NOBODY = 65534
START_S = 60.0

COMMON = """
mail_location = maildir:~/Maildir
postmaster_address = postmaster@example.test
hostname = mx.example.test
sendmail_path = {folder}/sendmail
first_valid_uid = 0
lda_mailbox_autocreate = yes
mail_plugins = quota
plugin {{
  quota = maildir:User quota
  quota_rule = *:storage=100K
  sieve = ~/.dovecot.sieve
}}
protocol lda {{
  mail_plugins = $mail_plugins sieve
}}
"""

ALONE = "log_path = {folder}/lda.log\n" + COMMON

SERVER = (
    """
base_dir = {folder}/run
log_path = {folder}/dovecot.log
protocols =
ssl = no
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {folder}/users
}}
service auth {{
  unix_listener auth-userdb {{
    mode = 0666
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""
    + COMMON
)


@attrs.define
class Mailboxes:
    """A folder with a configuration of dovecot, and the homes of its users below."""

    folder: Path
    conf: Path

    def home(self, user: str) -> Path:
        home = self.folder / "home" / user
        if not home.exists():
            home.mkdir(parents=True)
            os.chown(home, NOBODY, NOBODY)
        return home

    def messages(self, user: str, mailbox: str = "") -> list[bytes]:
        """What is in a maildir, unread."""
        return [path.read_bytes() for path in sorted((self.home(user) / "Maildir" / mailbox / "new").glob("*"))]

    def sent(self) -> str:
        """What dovecot mailed by itself."""
        path = self.folder / "sent"
        return path.read_text() if path.exists() else ""


def make_mailboxes(folder: Path, template: str) -> Mailboxes:
    (folder / "dovecot.conf").write_text(template.format(folder=folder))
    sendmail = folder / "sendmail"
    sendmail.write_text(f'#!/bin/sh\n{{ echo "ARGS $*"; cat; }} >>{folder}/sent\n')
    sendmail.chmod(0o755)
    folder.chmod(0o777)  # lda.log and sent are written by the users
    return Mailboxes(folder, folder / "dovecot.conf")


@pytest.fixture
def alone(need: Any, public_folder: Path) -> Mailboxes:
    """dovecot-lda without a daemon: it delivers to whoever it runs as."""
    need(LDA, root=True)
    mailboxes = make_mailboxes(public_folder, ALONE)
    program = public_folder / "dovecot-lda"
    program.write_text(f'#!/bin/sh\nexec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups {LDA} "$@"\n')
    program.chmod(0o755)
    return mailboxes


@pytest.fixture(scope="module")
def server(need: Any, make_public_folder: Callable[[], Path]) -> Iterator[Mailboxes]:
    """The daemon in the foreground, for its user database."""
    need(DOVECOT, LDA, root=True)
    folder = make_public_folder()
    mailboxes = make_mailboxes(folder, SERVER)
    lines = [f"{user}@example.test::{NOBODY}:{NOBODY}::{folder}/home/{user}::\n" for user in ("bob", "carol")]
    (folder / "users").write_text("".join(lines))
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(
            [DOVECOT, "-F", "-c", str(mailboxes.conf)], stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    with gevent.Timeout(START_S, AssertionError("dovecot did not start")):
        while not (folder / "run" / "auth-userdb").exists():
            assert process.poll() is None, (folder / "out").read_text()
            gevent.sleep(0.02)
    yield mailboxes
    process.send_signal(signal.SIGTERM)
    process.wait(START_S)


@pytest.fixture
def dovecot(server: Mailboxes) -> Iterator[Mailboxes]:
    """Its mailboxes, empty again."""
    yield server
    shutil.rmtree(server.folder / "home", ignore_errors=True)
    (server.folder / "sent").unlink(missing_ok=True)


@pytest.fixture
def make_lda(context, started):
    """A started relay of the kind `dovecot_lda`."""

    def make(mailboxes, **config):
        extra_args = ("-c", str(mailboxes.conf), *config.pop("extra_args", ()))
        return started(kinds.dovecot_lda(DovecotLdaConfig(extra_args=extra_args, **config), context))

    return make


BIG = b"Subject: big\r\n\r\n" + (b"y" * 70 + b"\r\n") * 2000


class TestAlone:
    @pytest.fixture
    def deliver_alone(self, make_lda, alone, make_envelope, attempt):
        """Deliver one message to bob."""

        def deliver(**envelope):
            variables = {"HOME": str(alone.home("bob")), "USER": "bob"}
            relay = make_lda(alone, path=alone.folder / "dovecot-lda", user="", environment=variables)
            return relay.attempt(make_envelope("bob@example.test", **envelope), attempt)[1]

        return deliver

    def test_case_082_a_message_is_delivered(self, deliver_alone, alone):
        assert "250 2.0.0 Delivered" == str(deliver_alone())
        assert 1 == len(alone.messages("bob"))

    def test_case_082_a_full_mailbox_fails(self, deliver_alone, alone):
        assert "552 5.2.2 Mailbox full: Quota exceeded (mailbox for user is full)" == str(deliver_alone(body=BIG))
        assert ("", []) == (alone.sent(), alone.messages("bob"))

    def test_case_082_a_home_that_cannot_be_written_defers(self, deliver_alone, alone):
        os.chown(alone.home("bob"), 0, 0)

        assert deliver_alone().is_transient

    def test_a_large_message_arrives_whole(self, deliver_alone, alone):
        alone.conf.write_text(alone.conf.read_text().replace("100K", "100M"))
        body = b"Subject: x\r\n\r\n" + (b"y" * 70 + b"\r\n") * 20_000

        deliver_alone(body=body)

        assert alone.messages("bob")[0].endswith(body.replace(b"\r\n", b"\n"))

    def test_case_082_as_root_without_a_user_it_defers(self, make_lda, alone, make_envelope, attempt):
        """A usage error: ours, and nobody's mail bounces for it."""
        reply = make_lda(alone, user="").attempt(make_envelope("bob@example.test"), attempt)[1]

        assert (451, "4.3.5") == (reply.code, reply.enhanced)


class TestWithUserDatabase:
    def test_a_message_is_delivered_under_its_fields(self, make_lda, dovecot, make_envelope, attempt):
        replies = make_lda(dovecot).attempt(make_envelope("bob@example.test", "carol@example.test"), attempt)

        assert {1: "250 2.0.0 Delivered", 2: "250 2.0.0 Delivered"} == {n: str(reply) for n, reply in replies.items()}
        assert [
            b"Return-Path: <alice@example.org>\nDelivered-To: carol@example.test\nFrom: <alice@example.org>\n"
            b"Subject: hello\n\nHow are you?\n"
        ] == dovecot.messages("carol")

    def test_case_082_an_unknown_user_fails(self, make_lda, dovecot, make_envelope, attempt):
        reply = make_lda(dovecot).attempt(make_envelope("eve@example.test"), attempt)[1]

        assert (550, "5.1.1") == (reply.code, reply.enhanced)

    def test_case_082_a_full_mailbox_fails(self, make_lda, dovecot, make_envelope, attempt):
        """dovecot-lda itself sends nothing: the notice is the queue's."""
        reply = make_lda(dovecot).attempt(make_envelope("bob@example.test", body=BIG), attempt)[1]

        assert "552 5.2.2 Mailbox full: Quota exceeded (mailbox for user is full)" == str(reply)
        assert ("", []) == (dovecot.sent(), dovecot.messages("bob"))

    def test_what_sieve_rejects_is_delivered_for_us(self, make_lda, dovecot, make_envelope, attempt):
        """dovecot answers the sender by itself, through its sendmail_path."""
        script = dovecot.home("bob") / ".dovecot.sieve"
        script.write_text('require "reject"; reject "Not today";')
        os.chown(script, NOBODY, NOBODY)
        body = b"Message-ID: <1@example.org>\r\nSubject: x\r\n\r\n"

        reply = make_lda(dovecot).attempt(make_envelope("bob@example.test", body=body), attempt)[1]

        assert (True, []) == (reply.is_success, dovecot.messages("bob"))
        assert "alice@example.org" in dovecot.sent()

    def test_sieve_files_into_a_mailbox(self, make_lda, dovecot, make_envelope, attempt):
        script = dovecot.home("bob") / ".dovecot.sieve"
        script.write_text('require "fileinto"; if header :is "X-Spam-Flag" "YES" { fileinto "Junk"; }')
        os.chown(script, NOBODY, NOBODY)

        make_lda(dovecot).attempt(make_envelope("bob@example.test", body=b"X-Spam-Flag: YES\r\n\r\n"), attempt)

        assert ([], 1) == (dovecot.messages("bob"), len(dovecot.messages("bob", ".Junk")))

    def test_an_extension_may_be_a_mailbox(self, make_lda, dovecot, make_envelope, attempt):
        relay = make_lda(dovecot, user="{user}@{domain}", extra_args=("-m", "{extension}"))

        assert relay.attempt(make_envelope("Bob+Lists@example.test"), attempt)[1].is_success
        assert 1 == len(dovecot.messages("bob", ".Lists"))

    def test_case_082_without_its_user_database_mail_is_deferred(self, make_lda, alone, make_envelope, attempt):
        """dovecot-lda tries for a second, then ends with 75."""
        with alone.conf.open("a") as conf:
            conf.write(f"base_dir = {alone.folder}/run\n")

        reply = make_lda(alone).attempt(make_envelope("bob@example.test"), attempt)[1]

        assert (451, "4.3.0") == (reply.code, reply.enhanced)

    def test_case_080_the_null_sender_arrives_as_such(self, make_lda, dovecot, make_envelope, attempt):
        make_lda(dovecot).attempt(make_envelope("bob@example.test", sender=""), attempt)

        assert dovecot.messages("bob")[0].startswith(b"Return-Path: <>\n")

    def test_case_082_a_wrong_option_is_ours_and_defers(self, make_lda, dovecot, make_envelope, attempt):
        reply = make_lda(dovecot, extra_args=("-Z",)).attempt(make_envelope("bob@example.test"), attempt)[1]

        assert (451, "4.3.5") == (reply.code, reply.enhanced)

    def test_case_088_many_for_one_mailbox_arrive_one_after_the_other(self, make_lda, dovecot, make_envelope, attempt):
        relay = make_lda(dovecot)

        jobs = [gevent.spawn(relay.attempt, make_envelope("bob@example.test"), attempt) for _ in range(10)]

        assert [True] * 10 == [job.get()[1].is_success for job in jobs]
        assert 10 == len(dovecot.messages("bob"))


BODIES = {
    "folded": b"Subject: a\r\n\tb\r\n  c  \r\nTo:x@example.org\r\n\r\ntext\r\n",
    "trailing spaces": b"Subject: a  \r\n\r\ntext  \r\n\t\r\n \r\nend \t\r\n",
    "no last line end": b"Subject: a\r\n\r\nfirst\r\nlast",
    "empty lines at the end": b"Subject: a\r\n\r\ntext\r\n\r\n\r\n",
    "8 bit": b"Subject: \xff\xfe\r\n\r\n\x80\xff\xe4\r\n",
    "dots": b"Subject: a\r\n\r\n.\r\n..\r\n.x\r\n",
    "from lines": b"Subject: a\r\n\r\nFrom here on\r\n>From there\r\n",
}


class TestBytes:
    """Cases 54 and 55: what was received is what is stored, but for line ends."""

    @pytest.mark.parametrize("name", BODIES)
    def test_case_055_every_octet_is_kept(self, make_lda, dovecot, make_envelope, attempt, name):
        body = BODIES[name]

        make_lda(dovecot).attempt(make_envelope("bob@example.test", body=body), attempt)

        (stored,) = dovecot.messages("bob")
        fields = b"Return-Path: <alice@example.org>\nDelivered-To: bob@example.test\n"
        assert fields + body.replace(b"\r\n", b"\n") == stored

    @pytest.mark.parametrize("canonicalization", ["simple/simple", "relaxed/relaxed"])
    @pytest.mark.parametrize("name", BODIES)
    def test_case_055_a_signature_still_holds(
        self, make_lda, dovecot, make_envelope, attempt, signer, name, canonicalization
    ):
        message = signer.sign(b"From: alice@example.org\r\n" + BODIES[name], canonicalization)

        make_lda(dovecot).attempt(make_envelope("bob@example.test", body=message), attempt)

        (stored,) = dovecot.messages("bob")
        assert signer.verify(stored.replace(b"\n", b"\r\n"))


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    """Signs and verifies by DKIM (RFC 6376) with a key of its own."""
    dkim = importlib.import_module("dkim") if os.environ.get("CI") == "true" else pytest.importorskip("dkim")
    key = tmp_path_factory.mktemp("dkim") / "key.pem"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    public = subprocess.run(
        ["openssl", "rsa", "-in", str(key), "-pubout", "-outform", "PEM"], check=True, capture_output=True
    )
    record = b"v=DKIM1; k=rsa; p=" + b"".join(public.stdout.splitlines()[1:-1])

    class Signer:
        def sign(self, message, canonicalization):
            canonicalize = tuple(part.encode() for part in canonicalization.split("/"))
            names = [b"from", b"subject"]
            return (
                dkim.sign(
                    message, b"sel", b"example.org", key.read_bytes(), canonicalize=canonicalize, include_headers=names
                )
                + message
            )

        def verify(self, message):
            return dkim.verify(message, dnsfunc=lambda *_, **__: record)

    return Signer()
