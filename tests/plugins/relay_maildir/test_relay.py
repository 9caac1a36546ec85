"""MaildirRelay: the truth about each recipient, and the message byte for byte below the fields of final delivery."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from errno import EDQUOT, EIO, ENOSPC
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import attrs
import gevent
import gevent.event
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdacore import (
    Attempt,
    Content,
    Context,
    Envelope,
    FileBody,
    MemoryBody,
    QueueId,
    Recipient,
    Reply,
    Status,
)
from mdacore.testing import ManualClock
from mdacore_relay_maildir import MaildirConfig, MaildirRelay, events, groups
from mdacore_relay_maildir.kernel_aio import KernelAio
from mdacore_relay_maildir.syncs import Syncs

P = ParamSpec("P")
T = TypeVar("T")

ATTEMPT = Attempt(queue_id=QueueId("A123456789"), queue="main", number=1, deadline_s=60.0)
MESSAGE = b"From: a@example.net\r\nSubject: hello\r\n\r\none\r\n\r\n.two\r\n"


@attrs.define
class RecordingLog:
    """An EventLog that remembers."""

    lines: list[tuple[str, str, dict[str, Any]]] = attrs.field(factory=list)

    def debug(self, event: str, **fields: object) -> None:
        self.lines.append(("debug", event, fields))

    def info(self, event: str, **fields: object) -> None:
        self.lines.append(("info", event, fields))

    def warning(self, event: str, **fields: object) -> None:
        self.lines.append(("warning", event, fields))

    def error(self, event: str, **fields: object) -> None:
        self.lines.append(("error", event, fields))


@pytest.fixture
def log() -> RecordingLog:
    return RecordingLog()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "maildirs"


@pytest.fixture
def make_relay(tmp_path: Path, log: RecordingLog) -> Iterator[Callable[..., MaildirRelay]]:
    """Builds and starts relays; stops them when the test is over."""
    relays = []

    def make(**config: Any) -> MaildirRelay:
        context = Context(
            instance="relays.local", state_path=tmp_path, hostname="mx.example.com", clock=ManualClock(), log=log
        )
        relay = MaildirRelay(MaildirConfig(**config), context)
        relay.start()
        relays.append(relay)
        return relay

    yield make
    for relay in relays:
        relay.stop()


@pytest.fixture
def relay(make_relay: Callable[..., MaildirRelay]) -> MaildirRelay:
    return make_relay()


def envelope_for(*addresses: str, message: bytes = MESSAGE, sender: str = "a@example.net") -> Envelope:
    recipients = tuple(Recipient(number=number, address=address) for number, address in enumerate(addresses))
    return Envelope(sender=sender, recipients=recipients, content=Content(MemoryBody(message)), received_at=0.0)


def messages(root: Path, folder: str) -> list[bytes]:
    return sorted(file.read_bytes() for file in (root / folder / "new").iterdir())


def count_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def open_below(root: Path) -> int:
    """How many descriptors this process has open in there."""
    return sum(
        Path(f"/proc/self/fd/{name}").resolve().is_relative_to(root)
        for name in os.listdir("/proc/self/fd")  # noqa: PTH208 - names are all that is wanted
    )


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if not path.is_dir()]


class BlockedSync:
    """A disk that hangs: a sync waits in its thread until `release`, whether of one file or of several."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._loop = gevent.get_hub().loop
        self._has_reached = gevent.event.Event()
        self._released = threading.Event()
        monkeypatch.setattr(os, "fsync", self._hung(os.fsync))
        monkeypatch.setattr(KernelAio, "fsync", self._hung(KernelAio.fsync))

    def _hung(self, function: Callable[P, T]) -> Callable[P, T]:
        def wait(*args: P.args, **kwargs: P.kwargs) -> T:
            self._loop.run_callback_threadsafe(self._has_reached.set)
            assert self._released.wait(60)
            return function(*args, **kwargs)

        return wait

    def wait_until_reached(self) -> None:
        assert self._has_reached.wait(60)

    def release(self) -> None:
        self._released.set()


class TestDelivery:
    def test_each_recipient_gets_a_message_of_his_own(self, relay: MaildirRelay, root: Path) -> None:
        replies = relay.attempt(envelope_for("bob@example.com", "eve@example.org"), ATTEMPT)

        delivered = Reply(code=250, enhanced="2.0.0", text="Delivered")
        assert {0: delivered, 1: delivered} == replies
        body = MESSAGE.replace(b"\r\n", b"\n")
        assert [b"Return-Path: <a@example.net>\nDelivered-To: bob@example.com\n" + body] == messages(
            root, "example.com/bob"
        )
        assert [b"Return-Path: <a@example.net>\nDelivered-To: eve@example.org\n" + body] == messages(
            root, "example.org/eve"
        )

    def test_replies_are_named_by_the_recipients_numbers(self, relay: MaildirRelay) -> None:
        recipients = (Recipient(number=7, address="a@b.example"), Recipient(number=3, address="../x@b.example"))
        envelope = attrs.evolve(envelope_for("x@y"), recipients=recipients)

        replies = relay.attempt(envelope, ATTEMPT)

        assert {7: 250, 3: 550} == {number: reply.code for number, reply in replies.items()}

    def test_null_sender_is_an_empty_return_path(self, relay: MaildirRelay, root: Path) -> None:
        relay.attempt(envelope_for("bob@example.com", sender=""), ATTEMPT)

        assert messages(root, "example.com/bob")[0].startswith(b"Return-Path: <>\n")

    def test_crlf_is_kept_where_it_is_wanted(self, make_relay: Callable[..., MaildirRelay], root: Path) -> None:
        make_relay(line_ending="crlf").attempt(envelope_for("bob@example.com"), ATTEMPT)

        (message,) = messages(root, "example.com/bob")
        assert b"Return-Path: <a@example.net>\r\nDelivered-To: bob@example.com\r\n" + MESSAGE == message

    def test_folder_template_is_used(self, make_relay: Callable[..., MaildirRelay], tmp_path: Path) -> None:
        make_relay(folder="{local}/Maildir", path=tmp_path / "home").attempt(envelope_for("Bob@example.com"), ATTEMPT)

        assert 1 == len(messages(tmp_path / "home", "bob/Maildir"))

    def test_bare_name_is_delivered_at_the_service_s_own_name(self, relay: MaildirRelay, root: Path) -> None:
        relay.attempt(envelope_for("Postmaster"), ATTEMPT)

        assert 1 == len(messages(root, "mx.example.com/postmaster"))

    def test_destination_is_always_the_same(self, relay: MaildirRelay) -> None:
        assert "" == relay.destination(envelope_for("bob@example.com"))

    @pytest.mark.parametrize(
        "message", [b"", b"\r\n", b"first line is body\r\n", b" folded\r\n", b"no end", b"\r\n\r\n"]
    )
    def test_case_054_message_without_header_is_not_glued_to_our_fields(
        self, relay: MaildirRelay, root: Path, message: bytes
    ) -> None:
        relay.attempt(envelope_for("bob@example.com", message=message), ATTEMPT)

        (written,) = messages(root, "example.com/bob")
        fields, rest = written[: written.index(b".com\n") + 5], written[written.index(b".com\n") + 5 :]
        assert b"Return-Path: <a@example.net>\nDelivered-To: bob@example.com\n" == fields
        assert rest == b"" or rest.startswith(b"\n")
        assert rest.endswith(message.replace(b"\r\n", b"\n"))

    @settings(suppress_health_check=list(HealthCheck), max_examples=30)
    @given(
        lines=st.lists(
            st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"").replace(b"\r", b"")), max_size=8
        )
    )
    def test_case_054_body_arrives_byte_for_byte(self, relay: MaildirRelay, root: Path, lines: list[bytes]) -> None:
        message = b"A: b\r\n\r\n" + b"\r\n".join(lines)
        for file in files(root):
            file.unlink()

        relay.attempt(envelope_for("bob@example.com", message=message), ATTEMPT)

        (written,) = messages(root, "example.com/bob")
        assert b"A: b\n\n" + b"\n".join(lines) == written.partition(b"Delivered-To: bob@example.com\n")[2]

    def test_large_message_is_written_in_pieces(self, relay: MaildirRelay, root: Path, tmp_path: Path) -> None:
        """Lines of 63 bytes put the CR and the LF of some lines into different pieces."""
        body = tmp_path / "body"
        body.write_bytes(b"A: b\r\n\r\n" + (b"x" * 61 + b"\r\n") * 40_000)
        content = Content(FileBody(body, body.stat().st_size))

        replies = relay.attempt(envelope_for("bob@example.com").with_content(content), ATTEMPT)

        (written,) = messages(root, "example.com/bob")
        assert 250 == replies[0].code
        assert b"A: b\n\n" + (b"x" * 61 + b"\n") * 40_000 == written.split(b"\n", 2)[2]

    def test_many_attempts_at_once_each_leave_their_message(self, relay: MaildirRelay, root: Path) -> None:
        greenlets = [
            gevent.spawn(relay.attempt, envelope_for("bob@example.com", message=b"N: %d\r\n\r\n" % number), ATTEMPT)
            for number in range(60)
        ]

        codes = {greenlet.get()[0].code for greenlet in greenlets}

        assert {250} == codes
        numbers = sorted(int(message.rsplit(b"N: ")[1]) for message in messages(root, "example.com/bob"))
        assert list(range(60)) == numbers


class TestInjection:
    """Case 58: whatever an edge let through, each field is one field."""

    @pytest.mark.parametrize("sender", ["a\r\nX-Evil: 1@example.net", "a\nb@c", "\x00@c", "a\u2028b@c", "\udcff@c"])
    def test_case_058_sender_stays_in_its_field(self, relay: MaildirRelay, root: Path, sender: str) -> None:
        relay.attempt(envelope_for("bob@example.com", sender=sender), ATTEMPT)

        lines = messages(root, "example.com/bob")[0].split(b"\n")
        assert [b"Return-Path:", b"Delivered-To:", b"From:"] == [line.split(b" ")[0] for line in lines[:3]]

    def test_long_sender_is_cut(self, relay: MaildirRelay, root: Path) -> None:
        relay.attempt(envelope_for("bob@example.com", sender="x" * 5000 + "@example.net"), ATTEMPT)

        assert max(map(len, messages(root, "example.com/bob")[0].split(b"\n"))) < 998


class TestRefusals:
    @pytest.mark.parametrize(
        "address", ["..@example.com", "a/b@example.com", "a\x00@example.com", "@x", "x" * 256 + "@x"]
    )
    def test_case_089_unsafe_address_fails_for_good(
        self, relay: MaildirRelay, root: Path, log: RecordingLog, address: str
    ) -> None:
        replies = relay.attempt(envelope_for(address, "bob@example.com"), ATTEMPT)

        assert Reply(code=550, enhanced="5.1.3", text="Bad destination mailbox address") == replies[0]
        assert 250 == replies[1].code
        assert {"example.com"} == {path.name for path in root.iterdir()}
        assert ["info", "debug"] == [level for level, *_ in log.lines]

    @pytest.mark.parametrize(
        "field",
        [
            b"Delivered-To: bob@example.com\r\n",
            b"delivered-to:BOB@Example.COM.\r\n",
            b"DELIVERED-TO : <bob@example.com>\r\n",
            b"Delivered-To:\r\n\tbob@example.com\r\n",
        ],
    )
    def test_case_052_message_that_was_here_before_is_a_loop(
        self, relay: MaildirRelay, root: Path, log: RecordingLog, field: bytes
    ) -> None:
        envelope = envelope_for("Bob@example.com", "eve@example.com", message=b"A: b\r\n" + field + MESSAGE)

        replies = relay.attempt(envelope, ATTEMPT)

        assert Reply(code=554, enhanced="5.4.6", text="Mail forwarding loop") == replies[0]
        assert 250 == replies[1].code
        assert 1 == len(files(root))
        assert ("info", events.REFUSED) == log.lines[0][:2]

    def test_case_052_what_the_relay_wrote_itself_is_a_loop(self, relay: MaildirRelay, root: Path) -> None:
        relay.attempt(envelope_for("bob@example.com"), ATTEMPT)
        (written,) = messages(root, "example.com/bob")

        replies = relay.attempt(envelope_for("bob@example.com", message=written.replace(b"\n", b"\r\n")), ATTEMPT)

        assert "5.4.6" == replies[0].enhanced

    def test_case_052_delivered_to_in_the_body_is_no_loop(self, relay: MaildirRelay) -> None:
        message = MESSAGE + b"\r\nDelivered-To: bob@example.com\r\n"

        replies = relay.attempt(envelope_for("bob@example.com", message=message), ATTEMPT)

        assert 250 == replies[0].code


class TestDiskTrouble:
    @pytest.mark.parametrize(
        ("errno", "expected"),
        [
            (ENOSPC, Reply(code=452, enhanced="4.3.1", text="Insufficient system storage")),
            (EDQUOT, Reply(code=452, enhanced="4.2.2", text="Mailbox full")),
            (EIO, Reply(code=451, enhanced="4.3.0", text="Local error, try again later")),
        ],
    )
    def test_case_089_error_of_the_system_defers_with_its_cause_in_the_log(
        self,
        relay: MaildirRelay,
        root: Path,
        log: RecordingLog,
        monkeypatch: pytest.MonkeyPatch,
        errno: int,
        expected: Reply,
    ) -> None:
        def broken(_fd: int) -> None:
            raise OSError(errno, "the system's own words")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", broken)
            replies = relay.attempt(envelope_for("bob@example.com"), ATTEMPT)

        assert {0: expected} == replies
        assert [] == files(root)
        level, event, fields = log.lines[0]
        assert ("warning", events.DEFERRED) == (level, event)
        assert "the system's own words" in fields["cause"]
        assert Status.DEGRADED == relay.health().status

    def test_case_089_symbolic_link_in_the_way_defers(self, relay: MaildirRelay, root: Path, tmp_path: Path) -> None:
        (root / "example.com").symlink_to(tmp_path)

        replies = relay.attempt(envelope_for("bob@example.com", "eve@example.org"), ATTEMPT)

        assert Reply(code=451, enhanced="4.2.0", text="Mailbox not available, try again later") == replies[0]
        assert 250 == replies[1].code

    def test_case_114_folder_of_everybody_defers(self, relay: MaildirRelay, root: Path) -> None:
        (root / "example.com").mkdir()
        (root / "example.com").chmod(0o777)

        replies = relay.attempt(envelope_for("bob@example.com"), ATTEMPT)

        assert "4.2.0" == replies[0].enhanced

    @pytest.mark.parametrize("written", [None, b"", b"A: b\r\n\r\nhalf"])
    def test_body_that_is_gone_or_cut_short_defers_everybody(
        self, relay: MaildirRelay, root: Path, tmp_path: Path, written: bytes | None
    ) -> None:
        body = tmp_path / "body"
        if written is not None:
            body.write_bytes(written)
        envelope = envelope_for("a@b.example", "c@d.example").with_content(Content(FileBody(body, 5000)))

        replies = relay.attempt(envelope, ATTEMPT)

        assert {0: "4.3.0", 1: "4.3.0"} == {number: reply.enhanced for number, reply in replies.items()}
        assert [] == files(root)

    def test_health_is_well_again_after_the_next_delivery(self, relay: MaildirRelay, root: Path) -> None:
        (root / "example.com").write_text("")
        relay.attempt(envelope_for("bob@example.com"), ATTEMPT)
        (root / "example.com").unlink()

        relay.attempt(envelope_for("bob@example.com"), ATTEMPT)

        assert Status.OK == relay.health().status


class TestCompany:
    """Attempts that are made at the same time are served by the same syncs."""

    def test_attempts_of_one_turn_share_their_syncs(
        self, make_relay: Callable[..., MaildirRelay], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        relay = make_relay(workers=1)
        for name in ("ann", "bob", "eve"):
            relay.attempt(envelope_for(f"{name}@example.com"), ATTEMPT)
        rounds: list[int] = []
        sync = Syncs.__call__

        def count(syncs: Syncs, fds: Collection[int]) -> dict[int, OSError]:
            rounds.append(len(fds))
            return sync(syncs, fds)

        monkeypatch.setattr(Syncs, "__call__", count)
        attempts = [
            gevent.spawn(relay.attempt, envelope_for(f"{name}@example.com"), ATTEMPT) for name in ("ann", "bob", "eve")
        ]

        codes = [attempt.get(timeout=60)[0].code for attempt in attempts]

        assert [250] * 3 == codes
        assert [3, 6] == rounds

    @pytest.mark.parametrize("group_messages", [1, 2, 64])
    def test_recipient_who_cannot_be_reached_spoils_no_other(
        self, make_relay: Callable[..., MaildirRelay], root: Path, group_messages: int
    ) -> None:
        relay = make_relay(group_messages=group_messages)
        (root / "example.com").symlink_to(root)
        addresses = [f"bob@{domain}" for domain in ("example.net", "example.com", "example.org", "example.com")]

        attempts = [gevent.spawn(relay.attempt, envelope_for(address), ATTEMPT) for address in addresses]
        codes = [attempt.get(timeout=60)[0].code for attempt in attempts]

        assert [250, 451, 250, 451] == codes
        assert 2 == len(files(root))

    def test_large_message_is_not_in_the_way_of_small_ones(
        self, make_relay: Callable[..., MaildirRelay], root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It takes a thread of its own, and nobody has to lose patience with it."""
        monkeypatch.setattr(groups, "PATIENCE_S", 600.0)
        relay = make_relay()
        relay.attempt(envelope_for("bob@example.com"), ATTEMPT)
        disk = BlockedSync(monkeypatch)
        large = gevent.spawn(relay.attempt, envelope_for("eve@example.com", message=b"\r\n" * 50_000), ATTEMPT)
        disk.wait_until_reached()
        monkeypatch.undo()

        replies = relay.attempt(envelope_for("bob@example.com"), ATTEMPT)
        is_waiting = not large.ready()
        disk.release()

        assert 250 == replies[0].code
        assert is_waiting
        assert 250 == large.get(timeout=60)[0].code


class TestFullMailbox:
    def test_it_is_logged_and_is_no_trouble_of_the_relay(
        self, make_relay: Callable[..., MaildirRelay], root: Path, log: RecordingLog
    ) -> None:
        relay = make_relay(quota_messages=1, quota_full="defer")

        replies = relay.attempt(envelope_for("bob@example.com", "eve@example.com", "bob@example.com"), ATTEMPT)

        assert [250, 250, 452] == [replies[number].code for number in range(3)]
        level, event, fields = log.lines[-1]
        assert ("info", events.FILLED, "bob@example.com") == (level, event, fields["rcpt"])
        assert "452 4.2.2 Mailbox full" == fields["reply"]
        assert Status.OK == relay.health().status


class TestHangingDisk:
    def test_hub_goes_on_while_the_disk_hangs(self, relay: MaildirRelay, monkeypatch: pytest.MonkeyPatch) -> None:
        disk = BlockedSync(monkeypatch)
        attempt = gevent.spawn(relay.attempt, envelope_for("bob@example.com"), ATTEMPT)

        disk.wait_until_reached()
        is_waiting = not attempt.ready()
        disk.release()

        assert is_waiting
        assert 250 == attempt.get(timeout=60)[0].code

    def test_attempt_beyond_its_deadline_answers_and_delivers_nothing_later(
        self, relay: MaildirRelay, root: Path, log: RecordingLog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else the thread would deliver when the disk wakes up, and the retry once more."""
        disk = BlockedSync(monkeypatch)

        replies = relay.attempt(
            envelope_for("bob@example.com", "eve@example.com"), attrs.evolve(ATTEMPT, deadline_s=0.05)
        )
        disk.release()

        assert {0: "4.3.0", 1: "4.3.0"} == {number: reply.enhanced for number, reply in replies.items()}
        assert relay.drain(10)
        assert [] == files(root)
        assert [("warning", events.OVERRAN)] == [line[:2] for line in log.lines]

    def test_attempt_that_is_killed_delivers_nothing_later(
        self, relay: MaildirRelay, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disk = BlockedSync(monkeypatch)
        attempt = gevent.spawn(relay.attempt, envelope_for("bob@example.com"), ATTEMPT)
        disk.wait_until_reached()

        attempt.kill()
        disk.release()

        assert relay.drain(10)
        assert [] == files(root)

    def test_drain_waits_for_what_is_in_hand_and_says_when_it_is_not_done(
        self, relay: MaildirRelay, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disk = BlockedSync(monkeypatch)
        attempt = gevent.spawn(relay.attempt, envelope_for("bob@example.com"), ATTEMPT)
        disk.wait_until_reached()

        is_done_at_once = relay.drain(0.01)
        disk.release()

        assert not is_done_at_once
        assert relay.drain(10)
        assert 250 == attempt.get(timeout=60)[0].code


class TestLife:
    @pytest.mark.parametrize("end", ["drain", "stop"])
    def test_attempt_after_the_end_is_deferred(self, relay: MaildirRelay, root: Path, end: str) -> None:
        relay.drain(1) if end == "drain" else relay.stop()

        replies = relay.attempt(envelope_for("bob@example.com"), ATTEMPT)

        assert Reply(code=451, enhanced="4.3.2", text="Service is stopping, try again later") == replies[0]
        assert [] == files(root)

    def test_stop_answers_all_who_wait(
        self, make_relay: Callable[..., MaildirRelay], root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Those whose thread hangs, and those who have none yet."""
        relay = make_relay(workers=1)
        disk = BlockedSync(monkeypatch)
        attempts = [gevent.spawn(relay.attempt, envelope_for("bob@example.com"), ATTEMPT) for _ in range(3)]
        disk.wait_until_reached()

        relay.stop()
        gevent.joinall(attempts, timeout=60)
        disk.release()

        stopping = Reply(code=451, enhanced="4.3.2", text="Service is stopping, try again later")
        assert [{0: stopping}] * 3 == [attempt.value for attempt in attempts]

    def test_kill_passes_while_nobody_has_the_message(
        self, relay: MaildirRelay, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A refusal can be told again; that somebody has it cannot be forgotten, and is returned."""
        disk = BlockedSync(monkeypatch)
        attempt = gevent.spawn(relay.attempt, envelope_for("..@example.com", "bob@example.com"), ATTEMPT)
        disk.wait_until_reached()

        attempt.kill()
        disk.release()

        assert isinstance(attempt.value, gevent.GreenletExit)

    def test_stop_may_come_twice_and_ends_the_threads(self, relay: MaildirRelay) -> None:
        relay.attempt(envelope_for("bob@example.com"), ATTEMPT)
        before = count_threads()

        relay.stop()
        relay.stop()

        give_up_at = time.monotonic() + 60
        while count_threads() >= before and time.monotonic() < give_up_at:
            pass  # a thread that has returned takes a moment to leave the system's list
        assert before - 1 == count_threads()

    def test_stop_closes_the_folders_that_stay_open(self, relay: MaildirRelay, root: Path) -> None:
        relay.attempt(envelope_for("bob@example.com"), ATTEMPT)
        before = open_below(root)

        relay.stop()

        assert 3 == before
        assert 0 == open_below(root)

    def test_stop_between_two_recipients_answers_for_both(self, relay: MaildirRelay, root: Path) -> None:
        """Who has the message is told; the others get a 4yz, and nothing later."""
        attempt = gevent.spawn(
            relay.attempt, envelope_for(*(f"b{number}@example.com" for number in range(50))), ATTEMPT
        )
        while not root.joinpath("example.com/b0/new").exists():
            gevent.sleep(0)

        relay.stop()
        replies = attempt.get(timeout=60)

        assert set(range(50)) == set(replies)
        assert len(list(root.rglob("new/*"))) >= sum(reply.is_success for reply in replies.values())
        assert "4.3.2" == replies[49].enhanced

    def test_start_makes_the_folder_and_building_does_not(
        self, make_relay: Callable[..., MaildirRelay], tmp_path: Path, log: RecordingLog
    ) -> None:
        context = Context(instance="relays.x", state_path=tmp_path, hostname="h", clock=ManualClock(), log=log)

        MaildirRelay(MaildirConfig(), context)
        is_made_when_built = (tmp_path / "maildirs").exists()
        make_relay()

        assert not is_made_when_built
        assert (tmp_path / "maildirs").is_dir()

    def test_health_names_the_folder(self, relay: MaildirRelay, root: Path) -> None:
        assert {"path": str(root), "messages_in_hand": 0} == relay.health().facts
