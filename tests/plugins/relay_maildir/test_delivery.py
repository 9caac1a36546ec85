"""Deliverer: which mailbox and which of its folders, the fields on top, and what becomes of a full mailbox."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import dkim
import pytest

from mdacore import Content, Context, Envelope, MemoryBody, Recipient, Reply
from mdacore.log import get_log
from mdacore.testing import ManualClock
from mdacore_relay_maildir import MaildirConfig, events
from mdacore_relay_maildir.delivery import Deliverer, Delivery
from mdacore_relay_maildir.steps import alone
from mdacore_relay_maildir.walk import make_root

MESSAGE = b"From: a@example.net\r\n\r\nhello\r\n"
SPAM = b"X-Spam-Status: YES, score=1000.0 required=5.0\r\n"
CLEAN = b"X-Spam-Status: NO, score=-0.1 required=5.0\r\n"


def make_envelope(address: str, message: bytes = MESSAGE) -> Envelope:
    recipients = (Recipient(number=0, address=address),)
    return Envelope(
        sender="a@example.net", recipients=recipients, content=Content(MemoryBody(message)), received_at=0.0
    )


@attrs.define
class Post:
    """A deliverer with this configuration, and the maildirs that it fills."""

    folder: Path
    deliverer: Deliverer

    @property
    def root(self) -> Path:
        return self.folder / "maildirs"

    def deliver(self, address: str, message: bytes = MESSAGE) -> Delivery:
        read = self.deliverer.read(make_envelope(address, message))
        letter = self.deliverer.letter(read, address)
        return letter if isinstance(letter, Delivery) else alone(self.deliverer.deliver(letter, is_wanted=lambda: True))

    def found(self) -> list[str]:
        """The folders with messages, once for each message."""
        return sorted(str(file.parent.parent.relative_to(self.root)) for file in self.root.rglob("new/*"))


@pytest.fixture
def make_post(tmp_path: Path) -> Iterator[Callable[..., Post]]:
    """Builds posts; closes them when the test is over."""
    posts = []

    def make(**config: Any) -> Post:
        context = Context(
            instance="relays.local",
            state_path=tmp_path,
            hostname="mx.example.com",
            clock=ManualClock(),
            log=get_log("relays.local"),
        )
        post = Post(tmp_path, Deliverer(MaildirConfig(**config), context))
        make_root(post.root)
        posts.append(post)
        return post

    yield make
    for post in posts:
        post.deliverer.close()


class TestSubAddresses:
    def test_sub_address_goes_to_the_mailbox_without_one(self, make_post: Callable[..., Post]) -> None:
        post = make_post()

        delivery = post.deliver("bob+lists@example.com")

        assert ["example.com/bob"] == post.found()
        assert ("example.com/bob", 250) == (delivery.fields["folder"], delivery.reply.code)

    def test_sub_address_goes_to_the_folder_of_its_name_if_there_is_one(self, make_post: Callable[..., Post]) -> None:
        post = make_post()
        (post.root / "example.com/bob/.lists/new").mkdir(parents=True, mode=0o700)

        delivery = post.deliver("bob+lists@example.com")

        assert ["example.com/bob/.lists"] == post.found()
        assert "example.com/bob/.lists" == delivery.fields["folder"]

    def test_levels_are_separated_by_dots(self, make_post: Callable[..., Post]) -> None:
        post = make_post(create_subfolders=1)

        post.deliver("bob+lists.python@example.com")

        assert ["example.com/bob/.lists.python"] == post.found()

    def test_folders_are_made_where_that_is_configured(self, make_post: Callable[..., Post]) -> None:
        post = make_post(create_subfolders=1)

        for address in ("bob+a@example.com", "bob+b@example.com", "bob+a@example.com"):
            post.deliver(address)

        assert ["example.com/bob", "example.com/bob/.a", "example.com/bob/.a"] == post.found()

    def test_delivered_to_names_the_whole_address(self, make_post: Callable[..., Post]) -> None:
        post = make_post()

        post.deliver("bob+lists@example.com")

        (file,) = post.root.rglob("new/*")
        assert b"Delivered-To: bob+lists@example.com\n" in file.read_bytes()

    def test_delimiter_is_configured(self, make_post: Callable[..., Post]) -> None:
        post = make_post(recipient_delimiter="-")

        post.deliver("bob-lists@example.com")
        post.deliver("eve+lists@example.com")

        assert ["example.com/bob", "example.com/eve+lists"] == post.found()

    @pytest.mark.parametrize("extension", [".", "..", ".x", "x.", "a..b", "INBOX", "inbox", "", "+", "x" * 200])
    def test_case_089_sub_address_that_can_be_no_folder_goes_to_the_mailbox(
        self, make_post: Callable[..., Post], extension: str
    ) -> None:
        post = make_post()

        delivery = post.deliver(f"bob+{extension}@example.com")

        assert (250, ["example.com/bob"]) == (delivery.reply.code, post.found())
        assert {"tmp", "new", "cur"} == {path.name for path in (post.root / "example.com/bob").iterdir()}

    @pytest.mark.parametrize("extension", ["/", "../../x", "a/b", "\x00", "a\nb", "x" * 255])
    @pytest.mark.parametrize("config", [{}, {"create_subfolders": 9}, {"recipient_delimiter": ""}])
    def test_case_089_unsafe_sub_address_fails_for_good(
        self, make_post: Callable[..., Post], extension: str, config: dict[str, Any]
    ) -> None:
        post = make_post(**config)

        delivery = post.deliver(f"bob+{extension}@example.com")

        assert ("5.1.3", events.REFUSED) == (delivery.reply.enhanced, delivery.event)
        assert [] == list(post.root.iterdir())

    def test_case_052_sub_address_is_a_recipient_of_its_own(self, make_post: Callable[..., Post]) -> None:
        """Else mail to a list, sent on from bob+old@ to bob@, would be a loop."""
        post = make_post()
        forwarded = b"Delivered-To: bob+old@example.com\r\n" + MESSAGE

        assert 250 == post.deliver("bob@example.com", forwarded).reply.code
        assert "5.4.6" == post.deliver("Bob+OLD@example.com", forwarded).reply.enhanced


class TestJunk:
    @pytest.mark.parametrize(
        "field",
        [SPAM, b"x-spam-status:yes\r\n", b"X-Spam-Status: Yes\r\n", b"X-Spam-Status:\r\n\tYES,\r\n score=9\r\n"],
    )
    def test_spam_goes_to_the_folder_for_it(self, make_post: Callable[..., Post], field: bytes) -> None:
        post = make_post(junk_folder="Junk")

        delivery = post.deliver("bob@example.com", field + MESSAGE)

        assert ["example.com/bob/.Junk"] == post.found()
        assert "example.com/bob/.Junk" == delivery.fields["folder"]

    @pytest.mark.parametrize(
        "head",
        [
            b"",
            CLEAN,
            b"X-Spam-Status: maybe YES\r\n",
            b"X-Spam-Status:\r\n",
            b"X-Spam-Flag: YES\r\n",
            b"A: b\r\n\r\n" + SPAM,
        ],
    )
    def test_what_does_not_begin_with_yes_is_no_spam(self, make_post: Callable[..., Post], head: bytes) -> None:
        post = make_post(junk_folder="Junk")

        post.deliver("bob@example.com", head + MESSAGE)

        assert ["example.com/bob"] == post.found()

    @pytest.mark.parametrize(("fields", "folder"), [(CLEAN + SPAM, "bob"), (SPAM + CLEAN, "bob/.Junk")])
    def test_topmost_verdict_counts(self, make_post: Callable[..., Post], fields: bytes, folder: str) -> None:
        """The last scanner has put its field on top; what is below may come from the sender."""
        post = make_post(junk_folder="Junk", folder="{user}")

        post.deliver("bob@example.com", b"Received: x\r\n" + fields + MESSAGE)

        assert [folder] == post.found()

    def test_it_is_off_by_default(self, make_post: Callable[..., Post]) -> None:
        post = make_post()

        post.deliver("bob@example.com", SPAM + MESSAGE)

        assert ["example.com/bob"] == post.found()

    def test_spam_for_a_sub_address_is_spam(self, make_post: Callable[..., Post]) -> None:
        post = make_post(junk_folder="Spam", create_subfolders=5)

        post.deliver("bob+lists@example.com", SPAM + MESSAGE)

        assert ["example.com/bob/.Spam"] == post.found()

    def test_folder_may_have_a_name_in_any_script(self, make_post: Callable[..., Post]) -> None:
        post = make_post(junk_folder="Müll", folder="{user}")

        post.deliver("bob@example.com", SPAM + MESSAGE)

        assert ["bob/.M&APw-ll"] == post.found()


class TestQuota:
    def test_full_mailbox_fails_for_good(self, make_post: Callable[..., Post]) -> None:
        """As with dovecot-lda and Dovecot's LMTP, unless they are told otherwise."""
        post = make_post(quota_messages=1)
        post.deliver("bob@example.com")

        delivery = post.deliver("bob@example.com")

        assert Reply(code=552, enhanced="5.2.2", text="Mailbox full") == delivery.reply
        assert events.FILLED == delivery.event
        assert ["example.com/bob"] == post.found()

    def test_full_mailbox_is_deferred_where_that_is_configured(self, make_post: Callable[..., Post]) -> None:
        post = make_post(quota_bytes=10, quota_full="defer")

        delivery = post.deliver("bob@example.com")

        assert Reply(code=452, enhanced="4.2.2", text="Mailbox full") == delivery.reply
        assert events.FILLED == delivery.event

    def test_mailbox_of_somebody_else_is_not_full(self, make_post: Callable[..., Post]) -> None:
        post = make_post(quota_messages=1)
        post.deliver("bob@example.com")

        assert 250 == post.deliver("eve@example.com").reply.code

    def test_spam_and_sub_addresses_count_too(self, make_post: Callable[..., Post]) -> None:
        post = make_post(quota_messages=2, junk_folder="Junk", create_subfolders=5)
        post.deliver("bob@example.com", SPAM + MESSAGE)
        post.deliver("bob+lists@example.com")

        assert "5.2.2" == post.deliver("bob@example.com").reply.enhanced

    def test_size_of_the_file_counts_with_its_fields_and_line_ends(self, make_post: Callable[..., Post]) -> None:
        post = make_post(quota_bytes=10_000)
        post.deliver("bob@example.com")

        (file,) = post.root.rglob("new/*")
        size_bytes = file.stat().st_size
        assert file.name.endswith(f",S={size_bytes}")
        assert f"10000S\n0 0\n{size_bytes} 1\n" == (post.root / "example.com/bob/maildirsize").read_text()


@pytest.fixture(scope="class")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A private key as PEM, and its DNS record (RFC 6376 §3.6.1)."""
    path = tmp_path_factory.mktemp("dkim") / "key.pem"
    subprocess.run(["openssl", "genrsa", "-out", str(path), "2048"], check=True, capture_output=True)
    public = subprocess.run(["openssl", "rsa", "-in", str(path), "-pubout"], check=True, capture_output=True).stdout
    return path.read_bytes(), b"v=DKIM1; k=rsa; p=" + b"".join(public.splitlines()[1:-1])


@pytest.mark.needs("openssl")
class TestSignedMessages:
    """Case 55: what was signed still verifies when it lies in the maildir."""

    BODY = b"one  \r\n\ttwo\t \r\n\r\n\r\n.dot\r\nlast line without an end"
    FIELDS = b"From: Alice <alice@example.net>\r\nSubject: odd\r\n\t folding  \r\n of a\ttab\r\nTo: bob@example.com\r\n"

    @pytest.mark.parametrize("canonicalize", [(b"simple", b"simple"), (b"relaxed", b"relaxed")])
    @pytest.mark.parametrize("address", ["bob@example.com", "bob+lists@example.com"])
    @pytest.mark.parametrize("line_ending", ["lf", "crlf"])
    def test_case_055_signature_verifies_after_delivery(
        self,
        make_post: Callable[..., Post],
        key: tuple[bytes, bytes],
        canonicalize: tuple[bytes, bytes],
        address: str,
        line_ending: str,
    ) -> None:
        private, record = key
        message = self.FIELDS + b"\r\n" + self.BODY
        signed = dkim.sign(message, b"s", b"example.net", private, canonicalize=canonicalize) + message
        post = make_post(line_ending=line_ending, create_subfolders=1)

        post.deliver(address, signed)

        (file,) = post.root.rglob("new/*")
        written = file.read_bytes()
        written = written if line_ending == "crlf" else written.replace(b"\n", b"\r\n")
        assert written.endswith(signed)
        assert dkim.verify(written, dnsfunc=lambda *_, **__: record)


class TestErrors:
    def test_nothing_of_a_refused_message_is_left(self, make_post: Callable[..., Post]) -> None:
        post = make_post(quota_bytes=10)

        post.deliver("bob@example.com")

        assert [] == [file for file in post.root.rglob("*") if file.is_file() and file.name != "maildirsize"]

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
    def test_case_089_sub_folder_of_another_user_defers(self, make_post: Callable[..., Post]) -> None:
        post = make_post()
        lists = post.root / "example.com/bob/.lists"
        (lists / "new").mkdir(parents=True, mode=0o700)
        os.chown(lists, 12_345, -1)

        delivery = post.deliver("bob+lists@example.com")

        assert ("4.2.0", events.DEFERRED) == (delivery.reply.enhanced, delivery.event)
