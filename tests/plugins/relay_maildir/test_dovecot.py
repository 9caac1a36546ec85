"""A real Dovecot reads what was delivered, and shares the quota. It refuses to be root: then everything is nobody's."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from mdacore import Content, Context, Envelope, MemoryBody, Recipient, Reply
from mdacore.log import get_log
from mdacore.runtime import SystemClock
from mdacore_relay_maildir import MaildirConfig
from mdacore_relay_maildir.delivery import Deliverer, Letter
from mdacore_relay_maildir.steps import alone
from mdacore_relay_maildir.walk import make_root

pytestmark = pytest.mark.needs("doveadm")

NOBODY = 65534
LDA = "/usr/lib/dovecot/dovecot-lda"
BOB = "bob@example.com"
CONFIG = """
log_path = /dev/stderr
mail_location = maildir:{folder}/maildirs/example.com/bob
first_valid_uid = 0
postmaster_address = postmaster@example.test
hostname = mx.example.test
sendmail_path = /bin/false
ssl = no
mail_plugins = quota
plugin {{
  quota = maildir:User quota
  quota_rule = *:bytes=2000:messages=5
  quota_rule2 = Trash:ignore
}}
"""


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be nobody for a while, if this is root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@attrs.define
class Site:
    """Bob's maildir, with the same quota for Dovecot and for the relay."""

    folder: Path
    deliverer: Deliverer

    @property
    def quota(self) -> str:
        """maildirsize as it is."""
        return (self.folder / "maildirs/example.com/bob/maildirsize").read_text()

    def deliver(self, address: str = BOB, head: bytes = b"", body: bytes = b"hello\r\n") -> Reply:
        content = Content(MemoryBody(head + b"Subject: to " + address.encode() + b"\r\n\r\n" + body))
        recipients = (Recipient(number=0, address=address),)
        envelope = Envelope(sender="a@example.net", recipients=recipients, content=content, received_at=0.0)
        with unprivileged():
            letter = self.deliverer.letter(self.deliverer.read(envelope), address)
            assert isinstance(letter, Letter)
            return alone(self.deliverer.deliver(letter, is_wanted=lambda: True)).reply

    def run(self, *command: str, stdin: bytes = b"") -> str:
        """Run one of Dovecot's programs; gives its output."""
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "USER": "nobody"}
        argv = [*drop, command[0], "-c", str(self.folder / "dovecot.conf"), *command[1:]]
        done = subprocess.run(argv, input=stdin, env=environment, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    def fetch(self, mailbox: str, what: str) -> list[str]:
        """One field of each message in a mailbox, as Dovecot sees it."""
        return self.run("doveadm", "-f", "tab", "fetch", what, "mailbox", mailbox, "ALL").splitlines()[1:]

    def usage(self) -> list[tuple[int, int]]:
        """Used and allowed: kibibytes, rounded up, and messages, as Dovecot sees it."""
        lines = [line.split("\t") for line in self.run("doveadm", "-f", "tab", "quota", "get").splitlines()[1:]]
        return [(int(value), int(limit)) for _, _, value, limit, *_ in lines]


@pytest.fixture
def site() -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="mdacore-"))
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, NOBODY)
    (folder / "dovecot.conf").write_text(CONFIG.format(folder=folder))
    (folder / "dovecot.conf").chmod(0o644)
    context = Context(
        instance="relays.local",
        state_path=folder,
        hostname="mx.example.com",
        clock=SystemClock(),
        log=get_log("relays.local"),
    )
    keys = MaildirConfig(quota_bytes=2000, quota_messages=5, junk_folder="Müll & Junk", create_subfolders=5)
    with unprivileged():
        make_root(folder / "maildirs")
    site = Site(folder, Deliverer(keys, context))
    yield site
    site.deliverer.close()
    shutil.rmtree(folder)


class TestReading:
    def test_message_is_in_the_inbox(self, site: Site) -> None:
        site.deliver()

        assert [f"to {BOB}"] == site.fetch("INBOX", "hdr.subject")
        assert ["<a@example.net>"] == site.fetch("INBOX", "hdr.return-path")

    def test_size_in_the_name_is_the_size(self, site: Site) -> None:
        """Dovecot believes the name, and reports a corruption when the file differs."""
        site.deliver()

        (file,) = (site.folder / "maildirs/example.com/bob/new").iterdir()
        size_bytes = str(file.stat().st_size)
        assert [size_bytes] == site.fetch("INBOX", "size.physical")
        assert site.fetch("INBOX", "text")

    def test_sub_folders_are_mailboxes_of_their_names(self, site: Site) -> None:
        site.deliver("bob+Lists.Python@example.com")
        site.deliver(head=b"X-Spam-Status: YES\r\n")

        assert ["to bob+Lists.Python@example.com"] == site.fetch("Lists.Python", "hdr.subject")
        assert [f"to {BOB}"] == site.fetch("Müll & Junk", "hdr.subject")
        assert {"INBOX", "Lists", "Lists.Python", "Müll & Junk"} == set(
            site.run("doveadm", "mailbox", "list", "-8").splitlines()
        )

    def test_mailbox_that_dovecot_has_made_gets_its_mail(self, site: Site) -> None:
        site.deliver()
        site.run("doveadm", "mailbox", "create", "Entwürfe.Alt")

        site.deliver("bob+Entwürfe.Alt@example.com")

        assert ["to bob+Entwürfe.Alt@example.com"] == site.fetch("Entwürfe.Alt", "hdr.subject")


class TestQuota:
    def test_dovecot_believes_our_sums(self, site: Site) -> None:
        """Were the file not to its liking, it would count anew and write it in one line."""
        for address in (BOB, "bob+lists@example.com"):
            site.deliver(address, body=b"x" * 600)
        before = site.quota

        assert [(2, 2), (2, 5)] == site.usage()
        assert before == site.quota
        assert 4 == len(before.splitlines())

    @pytest.mark.needs(LDA)
    def test_both_deliver_by_turns_and_keep_one_account(self, site: Site) -> None:
        site.deliver()
        site.run(LDA, "-f", "b@example.net", "-e", stdin=b"Subject: other\n\nhello\n")
        site.deliver()

        assert [(1, 2), (3, 5)] == site.usage()
        assert "2000S,5C\n0 0\n" == "".join(site.quota.splitlines(keepends=True)[:2])
        assert 5 == len(site.quota.splitlines())

    def test_room_that_dovecot_makes_is_used(self, site: Site) -> None:
        for _ in range(5):
            site.deliver()
        full = site.deliver()

        site.run("doveadm", "expunge", "mailbox", "INBOX", "1:2")

        assert "5.2.2" == full.enhanced
        assert [250, 250, 552] == [site.deliver().code for _ in range(3)]

    def test_what_dovecot_counts_anew_is_what_we_had(self, site: Site) -> None:
        for address in (BOB, "bob+lists@example.com"):
            site.deliver(address)
        site.run("doveadm", "mailbox", "create", "Trash")
        site.run("doveadm", "move", "Trash", "mailbox", "lists", "ALL")
        (file,) = (site.folder / "maildirs/example.com/bob").glob("[nc]*/*,S=*")

        site.run("doveadm", "quota", "recalc")

        assert f"2000S,5C\n{file.stat().st_size} 1\n" == site.quota
        assert 250 == site.deliver().code
        assert 3 == len(site.quota.splitlines())
