"""Final delivery by the real maildrop, with a filter file and without."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import attrs
import pytest

from mdacore_relay_lda import MaildropConfig, kinds

MAILDROP = "/usr/bin/maildrop"

FILTER = """\
DEFAULT="{home}/Maildir"
if (/^X-Spam-Status: Yes/:h)
{{
    to "{home}/Maildir/.Quarantine"
}}
if (/^Subject: *later/:h)
{{
    echo "try later"
    EXITCODE=75
    exit
}}
if (/^Subject: *nobody/:h)
{{
    echo "no such mailbox here"
    EXITCODE=67
    exit
}}
if (/^Subject: *coded/:h)
{{
    echo "5.7.1 not from you"
    EXITCODE=77
    exit
}}
if (/^Subject: *pipe/:h)
{{
    to "| false"
}}
if (/^Subject: *show/:h)
{{
    echo "from $FROM to $1 $RECIPIENT"
    EXITCODE=67
    exit
}}
to "$DEFAULT"
"""


@attrs.define
class Mailbox:
    """A maildir with a folder for spam, and the filter file that knows it."""

    home: Path

    @property
    def filter(self) -> Path:
        return self.home / "filter"

    def messages(self, mailbox: str = "") -> list[bytes]:
        return [path.read_bytes() for path in (self.home / "Maildir" / mailbox / "new").iterdir()]


@pytest.fixture
def mailbox(need: Any, public_folder: Path) -> Mailbox:
    need(MAILDROP, "/usr/bin/maildirmake")
    box = Mailbox(public_folder)
    box.filter.write_text(FILTER.format(home=public_folder))
    box.filter.chmod(0o600)
    maildir = str(public_folder / "Maildir")
    subprocess.run(["maildirmake", maildir], check=True)
    subprocess.run(["maildirmake", "-f", "Quarantine", maildir], check=True)
    return box


@pytest.fixture
def deliver(mailbox, context, started, make_envelope, attempt):
    """Deliver one message by the filter file."""

    def deliver(header=b"Subject: hello\r\n", *, body=b"How are you?\r\n", sender="alice@example.org", **config):
        config = {"filter": str(mailbox.filter), "args": ("{recipient}",), **config}
        relay = started(kinds.maildrop(MaildropConfig(**config), context))
        envelope = make_envelope("bob@example.test", sender=sender, body=header + b"\r\n" + body)
        return relay.attempt(envelope, attempt)[1]

    return deliver


class TestFilter:
    def test_a_message_is_delivered_under_its_fields(self, deliver, mailbox):
        assert "250 2.0.0 Delivered" == str(deliver())
        assert [
            b"Return-Path: <alice@example.org>\nDelivered-To: bob@example.test\nSubject: hello\n\nHow are you?\n"
        ] == mailbox.messages()

    @pytest.mark.parametrize(("status", "folder"), [(b"Yes, score=9.1", ".Quarantine"), (b"No, score=0.1", "")])
    def test_spam_goes_to_quarantine(self, deliver, mailbox, status, folder):
        deliver(b"X-Spam-Status: " + status + b"\r\nSubject: x\r\n")

        assert {"": 0, ".Quarantine": 0} | {folder: 1} == {
            name: len(mailbox.messages(name)) for name in ("", ".Quarantine")
        }

    @pytest.mark.parametrize(
        ("subject", "expected"),
        [
            (b"later", "451 4.3.0 Temporary failure: try later"),
            (b"nobody", "550 5.1.1 Unknown user: no such mailbox here"),
            (b"coded", "550 5.7.1 not from you"),
            (b"pipe", "451 4.3.0 Temporary failure"),
            (b"show", "550 5.1.1 Unknown user: from alice@example.org to bob@example.test bob@example.test"),
        ],
    )
    def test_case_082_the_filter_decides(self, deliver, mailbox, subject, expected):
        assert expected == str(deliver(b"Subject: " + subject + b"\r\n"))
        assert [] == mailbox.messages()

    def test_case_080_the_null_sender_moves_no_argument(self, deliver):
        reply = deliver(b"Subject: show\r\n", sender="")

        assert reply.text.startswith("Unknown user: from ")
        assert reply.text.endswith("to bob@example.test bob@example.test")

    def test_case_082_a_filter_that_is_missing_defers(self, deliver):
        assert deliver(filter="/nonexistent/filter").is_transient

    def test_case_082_a_filter_of_somebody_else_defers(self, deliver, mailbox, need):
        need(root=True)
        os.chown(mailbox.filter, 65534, 65534)

        assert deliver().is_transient

    def test_case_082_a_filter_with_a_mistake_defers(self, deliver, mailbox):
        mailbox.filter.write_text("if (\n")

        assert deliver().is_transient

    def test_case_082_a_full_mailbox_defers(self, deliver, mailbox):
        subprocess.run(["maildirmake", "-q", "10S", str(mailbox.home / "Maildir")], check=True)

        assert "452 4.2.2 Mailbox full: maildrop: maildir over quota." == str(deliver())
        assert [] == mailbox.messages()

    def test_case_055_every_octet_is_kept(self, deliver, mailbox):
        """But for line ends: maildrop itself takes out carriage returns there, and ends a last line without an end."""
        body = b"\tx \r\n.\r\nFrom here\r\n\x80\xff  \r\n\r\n\r\nlast"

        deliver(b"Subject: a\r\n\tb  \r\n", body=body)

        (stored,) = mailbox.messages()
        assert stored.endswith(b"Subject: a\n\tb  \n\n" + body.replace(b"\r\n", b"\n") + b"\n")

    def test_a_large_message_arrives_whole(self, deliver, mailbox):
        body = b"line of text\r\n" * 100_000

        deliver(body=body)

        assert mailbox.messages()[0].endswith(b"\n\n" + body.replace(b"\r\n", b"\n"))


class TestDeliveryMode:
    """Without a filter file maildrop becomes the user, which only root may ask for another one."""

    @pytest.fixture
    def deliver_to(self, need, context, started, make_envelope, attempt):
        def deliver_to(address, **config):
            need(MAILDROP)
            relay = started(kinds.maildrop(MaildropConfig(**config), context))
            return relay.attempt(make_envelope(address), attempt)[1]

        return deliver_to

    def test_case_082_an_unknown_user_fails(self, deliver_to):
        assert deliver_to("no-such-user@d").enhanced == "5.1.1"

    def test_a_user_gets_it_in_his_mailbox(self, deliver_to, need):
        """Nobody's: there is no home, and maildrop says that it cannot be entered."""
        need(root=True)

        assert deliver_to("Nobody+x@d").is_transient
