"""The operator's hand on a real service and without one: `mdacore queue` and `mdacore health` as processes."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import shutil
import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest

from mdacore import NewMessage
from mdacore.testing import make_context, make_envelope

PATIENCE_S = 120
DEFERRING = 'kind = "blackhole"\nreply = "451 4.2.1 Mailbox busy"'
MESSAGE = b"Subject: one\r\n\r\n.dot\r\n" + bytes(range(128, 256)) + b"\r\nlast line\r\n"


@attrs.frozen(kw_only=True)
class Done:
    """A command that has ended."""

    status: int
    output: str
    errors: str

    @property
    def facts(self) -> list[dict[str, object]]:
        """Of ``--json``."""
        return [json.loads(line) for line in self.output.splitlines()]


@pytest.fixture
def hand(service) -> Callable[..., Done]:
    """Run a command on the service's configuration."""

    def run(*words: str, input: bytes = b"", binary: bool = False) -> Done:  # noqa: A002 - as `subprocess.run` has it
        command = service.command(*words)
        done = subprocess.run(command, input=input, capture_output=True, timeout=PATIENCE_S, check=False)
        return Done(
            status=done.returncode,
            output=done.stdout.decode("latin-1" if binary else "utf-8"),
            errors=done.stderr.decode(),
        )

    return run


def send(service, *rcpts: str, sender: str = "alice@example.org", message: bytes = MESSAGE) -> None:
    with smtplib.SMTP("127.0.0.1", service.port, timeout=PATIENCE_S) as client:
        client.sendmail(sender, rcpts or ["bob@example.test"], message, mail_options=["BODY=8BITMIME"])


@pytest.fixture
def deferring(service) -> Iterator[object]:
    """A service that has three messages, from a, b and c, which nobody takes."""
    service.configure(DEFERRING)
    service.start()
    for name in "abc":
        send(service, "bob@example.test", f"{name}@example.test", sender=f"{name}@example.org")
    service.wait_for_event("queue.deferred", 3)
    return service


@pytest.fixture(params=["beside the service", "without the service"])
def either(request, deferring):
    """The same, and the service runs or has been stopped."""
    if request.param == "without the service":
        assert 0 == deferring.terminate()
    return deferring


def ids(done: Done) -> list[str]:
    return [str(one["queue_id"]) for one in done.facts]


class TestChanges:
    def test_hold_and_release_take_effect_and_are_listed(self, either, hand):
        first, *_ = ids(hand("queue", "list", "--json"))

        held = hand("queue", "hold", "--sender", "a@EXAMPLE.org", "--json")

        assert (0, [{"queue_id": first, "result": "held", "queue_name": "main"}]) == (held.status, held.facts)
        (entry,) = hand("queue", "list", "--only", "held", "--json").facts
        assert (first, "held by an operator") == (entry["queue_id"], entry["held"])
        assert "1 message released.\n" in hand("queue", "release", first).output
        assert "" == hand("queue", "list", "--only", "held", "--json").output

    def test_discard_names_what_is_gone_already(self, either, hand):
        """Exit status 66: a message that was named is not there."""
        first, *others = ids(hand("queue", "list", "--json"))

        once, again = hand("queue", "discard", first), hand("queue", "discard", first)

        assert (0, f"discarded  {first}") == (once.status, once.output[:25])
        assert (66, f"gone       {first}\n0 messages discarded, 1 gone.\n") == (again.status, again.output)
        assert others == ids(hand("queue", "list", "--json"))

    def test_discard_by_filter_asks_and_without_a_terminal_refuses(self, either, hand):
        asked = hand("queue", "discard", "--domain", "example.test")

        assert (2, True) == (asked.status, "3 messages would be discarded for good: say --yes" in asked.errors)
        assert 3 == len(ids(hand("queue", "list", "--json")))
        assert 0 == hand("queue", "discard", "--domain", "example.test", "--yes").status
        assert [] == ids(hand("queue", "list", "--json"))

    @pytest.mark.parametrize(("answer", "status", "left"), [(b"n\n", 130, 3), (b"y\n", 0, 0)], ids=["no", "yes"])
    def test_discard_by_filter_asks_on_a_terminal(self, deferring, hand, answer, status, left):
        keyboard, terminal = pty.openpty()
        os.write(keyboard, answer)
        command = deferring.command("queue", "discard", "--older", "0s")

        done = subprocess.run(command, stdin=terminal, capture_output=True, timeout=PATIENCE_S, check=False)

        os.close(keyboard)
        os.close(terminal)
        assert (status, True) == (done.returncode, b"3 messages, " in done.stderr), done.stderr
        assert left == len(ids(hand("queue", "list", "--json")))

    def test_a_dry_run_says_which_and_changes_nothing(self, either, hand):
        before = hand("queue", "list", "--json").output

        done = hand("queue", "discard", "--sender", "b@example.org", "--dry-run", "--json")

        assert (0, ["b@example.org"]) == (done.status, [one["sender"] for one in done.facts])
        assert before == hand("queue", "list", "--json").output

    def test_with_nothing_chosen_nothing_is_done(self, either, hand):
        done = hand("queue", "hold")

        assert (2, True) == (done.status, "give ids or filters, or --all" in done.errors)

    def test_ids_may_come_from_standard_input(self, either, hand):
        some = ids(hand("queue", "list", "--json"))[:2]

        done = hand("queue", "hold", "-", input="".join(f"{one}\n" for one in some).encode())

        assert (0, True) == (done.status, done.output.endswith("2 messages held.\n"))


class TestBesideTheService:
    def test_every_change_is_in_the_log_with_who_made_it(self, deferring, hand):
        (first, *_), me = ids(hand("queue", "list", "--json")), os.geteuid()

        hand("queue", "hold", first)

        line = deferring.wait_for_event("queue.amended")
        assert (first, "hold", me, True) == (line["queue_id"], line["change"], line["uid"], line["pid"] > 0)

    def test_retry_attempts_now(self, deferring, hand):
        hand("queue", "retry", "--all")

        deferring.wait_for_event("queue.deferred", 6)

    def test_bounce_returns_to_the_sender(self, deferring, hand):
        (first, *_) = ids(hand("queue", "list", "--json"))

        assert 0 == hand("queue", "bounce", first).status

        line = deferring.wait_for_event("queue.bounced")
        assert (first, True) == (line["queue_id"], "Returned by the administrator" in str(line["reply"]))

    def test_case_077_many_hands_on_one_message_change_it_once(self, deferring, hand):
        """Case 77: one wins, the others are told that it is gone or busy; nobody sees a traceback."""
        (first, *_) = ids(hand("queue", "list", "--json"))
        commands = ["discard", "hold", "release", "bounce"] * 2

        with ThreadPoolExecutor(4) as threads:
            ended = list(threads.map(lambda name: hand("queue", name, first, "--json"), commands))

        assert {0, 66, 75} >= {one.status for one in ended}
        assert [] == [one.errors for one in ended if one.errors]
        words = [one.facts[0]["result"] for one in ended]
        assert 1 >= words.count("discarded")
        assert {"discarded", "held", "released", "bounced", "busy", "gone", "due"} >= set(words)
        changes = [line["change"] for line in deferring.events("queue.amended") if line["queue_id"] == first]
        assert len([word for word in words if word in ("discarded", "held", "released", "bounced")]) == len(changes)

    def test_case_077_what_is_being_attempted_is_busy(self, service, hand, tmp_path):
        """Case 77, exit status 75: a delivery has it now; later it may be changed, or gone."""
        script = tmp_path / "slow"
        script.write_text(f"#!/bin/sh\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.05; done\n")
        script.chmod(0o755)
        service.configure(f'kind = "pipe"\ncommand = ["{script}"]')
        text = (service.folder / "mda.toml").read_text().replace('"relay_blackhole"]', '"relay_lda"]')
        (service.folder / "mda.toml").write_text(text)
        service.start()
        send(service)
        service.wait_until(lambda: ids(hand("queue", "list", "--only", "active", "--json")), "not active")
        (first,) = ids(hand("queue", "list", "--json"))

        done = hand("queue", "discard", first)

        (tmp_path / "go").touch()
        assert (75, f"busy       {first}") == (done.status, done.output[:25])
        service.wait_for_event("queue.delivered")

    def test_health_says_how_each_instance_is(self, deferring, hand):
        done = hand("health", "--json")

        found = {one["instance"]: one["status"] for one in done.facts}
        assert (0, {"ok"}) == (done.status, set(found.values()))
        assert {"service", "service.control", "storages.spool", "queues.main", "edges.mx"} <= set(found)

    def test_health_without_a_service_is_69(self, service, hand):
        done = hand("health")

        assert (69, True) == (done.status, "no service listens at" in done.errors)

    def test_a_service_without_a_control_socket_keeps_its_storage(self, service, hand):
        service.configure(DEFERRING)
        service.start("--set", 'service.control=""')
        send(service)
        service.wait_for_event("queue.deferred")

        done = hand("queue", "hold", "--all")

        assert (1, True) == (done.status, "storages.spool:" in done.errors)
        assert not (service.state / "control.sock").exists()


def lose_a_body(deferring, hand) -> str:
    """Send a message whose body has a file of its own, and remove that; the message's id."""
    large = b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 4 * 8000 + b"\r\n"
    send(deferring, "eve@example.test", sender="large@example.org", message=large)
    deferring.wait_for_event("queue.deferred", 4)
    (body,) = (deferring.state / "spool" / "bodies").iterdir()
    body.unlink()
    (damaged,) = ids(hand("queue", "list", "--json", "--sender", "large@example.org"))
    return damaged


class TestShow:
    def test_the_message_is_shown_as_it_is_stored(self, either, hand):
        (first, *_) = ids(hand("queue", "list", "--json"))

        whole = hand("queue", "show", "--body", first, binary=True).output.encode("latin-1")
        header = hand("queue", "show", "--header", first, binary=True).output.encode("latin-1")

        assert whole.endswith(MESSAGE)
        assert header == whole[: len(header)]
        assert header.endswith(b"Subject: one\r\n")

    def test_the_envelope_is_shown_with_what_became_of_it(self, either, hand):
        (first, *_) = ids(hand("queue", "list", "--json"))

        text = hand("queue", "show", first).output
        (facts,) = hand("queue", "show", "--json", first).facts

        assert f"id:        {first}\n" in text
        assert "recipient: bob@example.test, deferred\n           451 4.2.1 Mailbox busy\n" in text
        assert ("a@example.org", "ESMTP") == (facts["envelope"]["sender"], facts["envelope"]["client"]["protocol"])

    def test_of_what_cannot_be_read_it_is_shown_what_is_known(self, deferring, hand):
        damaged = lose_a_body(deferring, hand)

        done = hand("queue", "show", damaged)

        assert 74 == done.status
        assert f"id:        {damaged}\n" in done.output
        assert "sender:    large@example.org\nrecipient: eve@example.test, deferred\n" in done.output
        assert f"{damaged} cannot be read: " in done.errors

    @pytest.mark.parametrize("odd", ["../../../etc/passwd", "74k80000000001\n", "x" * 300])
    def test_case_072_what_is_no_id_is_refused(self, deferring, hand, odd):
        """Case 72."""
        assert 2 == hand("queue", "show", "--", odd).status

    def test_what_is_not_there_is_66(self, deferring, hand):
        done = hand("queue", "show", "nobody00000000")

        assert (66, "mdacore: nobody00000000 is in no queue\n") == (done.status, done.errors)


class TestExportAndImport:
    @pytest.fixture
    def elsewhere(self, tmp_path):
        """Another service, which delivers."""
        folder = tmp_path / "elsewhere"
        folder.mkdir()
        other = type(self.here)(folder)
        other.configure()
        yield other
        if other.process is not None and other.process.poll() is None:
            other.kill()

    @pytest.fixture(autouse=True)
    def _here(self, service):
        self.here = service

    def importing(self, other, *words: str, input: bytes = b"") -> Done:  # noqa: A002
        command = [*other.command("queue", "import"), *words]
        done = subprocess.run(command, input=input, capture_output=True, timeout=PATIENCE_S, check=False)
        return Done(status=done.returncode, output=done.stdout.decode(), errors=done.stderr.decode())

    @pytest.mark.parametrize("is_running", [True, False], ids=["into a service", "into a store"])
    @pytest.mark.parametrize("to", ["folder", "file.tar"])
    def test_mail_is_delivered_elsewhere_octet_for_octet_and_once(self, deferring, hand, elsewhere, to, is_running):
        large = b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 4 * 8000 + b"\r\n"
        send(deferring, "eve@example.test", sender="d@example.org", message=large)
        deferring.wait_for_event("queue.deferred", 4)
        sums = {
            hashlib.sha256(hand("queue", "show", "--body", one, binary=True).output.encode("latin-1")).hexdigest()
            for one in ids(hand("queue", "list", "--json"))
        }
        path = str(deferring.folder / to)
        done = hand("queue", "export", "--all", "--hold", "--to", path)
        assert (0, "4 messages exported.\n") == (done.status, done.errors)
        assert {"held"} == {one["state"] for one in hand("queue", "list", "--json").facts}

        if is_running:
            elsewhere.start()
        first = self.importing(elsewhere, path)
        again = self.importing(elsewhere, path)
        if not is_running:
            elsewhere.start()

        assert (0, first.output) == (again.status, again.output), first.errors + again.errors
        files = elsewhere.wait_for_delivery(7)
        assert 0 == elsewhere.terminate()
        assert 7 == len(elsewhere.delivered())
        assert sums == {content_sum(path) for path in files}

    def test_what_was_held_is_held_elsewhere_and_a_tar_goes_through_a_pipe(self, deferring, hand, elsewhere):
        hand("queue", "hold", "--sender", "a@example.org")
        tar = hand("queue", "export", "--sender", "a@example.org", "--to", "-", binary=True).output.encode("latin-1")

        assert 0 == self.importing(elsewhere, "-", input=tar).status

        command = elsewhere.command("queue", "list", "--json")
        (entry,) = map(json.loads, subprocess.run(command, capture_output=True, check=True).stdout.splitlines())
        assert ("held", "held by an operator", "a@example.org") == (entry["state"], entry["held"], entry["sender"])

    def listed(self, other) -> list[dict[str, Any]]:
        done = subprocess.run(other.command("queue", "list", "--json"), capture_output=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_two_messages_with_one_id_are_two(self, deferring, hand, elsewhere):
        """A machine that was copied with its store goes on with the same ids for other messages."""
        first, second = deferring.folder / "first", deferring.folder / "second"
        hand("queue", "export", "--sender", "a@example.org", "--to", str(first))
        shutil.copytree(first, second)
        (body,) = second.glob("*.eml")
        body.write_bytes(body.read_bytes().replace(b"one", b"two"))

        done = [self.importing(elsewhere, "--hold", str(path)) for path in (first, second, first)]

        assert [0, 0, 0] == [each.status for each in done]
        assert done[0].output == done[2].output != done[1].output
        assert 2 == len(self.listed(elsewhere))

    def test_what_was_discarded_is_stored_again_when_that_is_asked_for(self, deferring, hand, elsewhere):
        path = str(deferring.folder / "out")
        hand("queue", "export", "--sender", "a@example.org", "--to", path)
        self.importing(elsewhere, "--hold", path)
        subprocess.run(elsewhere.command("queue", "discard", "--all", "--yes"), check=True, timeout=PATIENCE_S)

        repeated = self.importing(elsewhere, "--hold", path)
        after_repeated = self.listed(elsewhere)
        again = self.importing(elsewhere, "--hold", "--again", path)

        assert (0, []) == (repeated.status, after_repeated)
        assert "not stored again (--again)" in repeated.errors
        assert (0, "1 message imported.\n", 1) == (again.status, again.errors, len(self.listed(elsewhere)))

    def test_tar_file_that_could_not_be_finished_is_not_there(self, deferring, hand):
        """Whatever stopped it, a full disk here: the next try finds nothing in its way."""
        tar = deferring.folder / "out.tar"
        command = deferring.command("queue", "export", "--all", "--to", str(tar))
        limited = ["bash", "-c", 'ulimit -f 1; exec "$@"', "bash", *command]

        failed = subprocess.run(limited, capture_output=True, timeout=PATIENCE_S, check=False)
        is_there = tar.exists()
        done = hand("queue", "export", "--all", "--to", str(tar))

        assert (True, False) == (failed.returncode > 0, is_there)
        assert b"Traceback" not in failed.stderr
        assert 0 == done.status

    @pytest.mark.parametrize("is_running", [True, False], ids=["beside the service", "without the service"])
    def test_message_that_cannot_be_read_keeps_no_other_from_being_exported(self, deferring, hand, is_running):
        """Exit status 65. It is not left as held: what is held here is discarded once it has arrived elsewhere."""
        damaged = lose_a_body(deferring, hand)
        if not is_running:
            assert 0 == deferring.terminate()

        done = hand("queue", "export", "--all", "--hold", "--to", str(deferring.folder / "out"))

        states = {str(one["queue_id"]): one["state"] for one in hand("queue", "list", "--json").facts}
        assert (65, 3) == (done.status, len(list((deferring.folder / "out").glob("*.json"))))
        assert f"{damaged} cannot be read" in done.errors
        assert done.errors.endswith("3 messages exported, 1 not readable.\n")
        assert ["due", "held", "held", "held"] == [states.pop(damaged), *states.values()]

    @pytest.mark.parametrize("spoil", ["size", "version", "missing", "line ends", "garbage"])
    def test_one_bad_message_does_not_keep_the_others(self, deferring, hand, elsewhere, spoil):
        """Exit status 65; what is bad is named."""
        hand("queue", "export", "--all", "--to", str(deferring.folder / "out"))
        (facts, *_) = sorted((deferring.folder / "out").glob("*.json"))
        body = facts.with_suffix(".eml")
        if spoil == "size":
            body.write_bytes(body.read_bytes()[:-1])
        elif spoil == "version":
            facts.write_text(facts.read_text().replace('"mdacore-export": 1', '"mdacore-export": 2'))
        elif spoil == "missing":
            body.unlink()
        elif spoil == "line ends":
            body.write_bytes(body.read_bytes()[:-2] + b"\n\n")
        else:
            facts.write_bytes(b"\x80\x04\x95pickle")

        done = self.importing(elsewhere, str(deferring.folder / "out"))

        assert (65, 2) == (done.status, len(done.output.splitlines()))
        assert f"mdacore: {facts.name}" in done.errors
        assert "Traceback" not in done.errors


def content_sum(path: Path) -> str:
    """Of the message in a maildir, as it was before the delivery wrote its own fields and line ends."""
    text = path.read_bytes()
    while text.startswith((b"Return-Path:", b"Delivered-To:")):
        text = text.partition(b"\n")[2]
    return hashlib.sha256(text.replace(b"\n", b"\r\n")).hexdigest()


@pytest.fixture
def large_store(service):
    """Stored without a service, as fast as may be: 50 000 messages, or as many as MDACORE_ENTRIES says."""
    number = int(os.environ.get("MDACORE_ENTRIES", "50000"))
    from mdacore_storage_shelve.config import ShelveConfig
    from mdacore_storage_shelve.storage import ShelveStorage

    storage = ShelveStorage(ShelveConfig(path=service.state / "spool"), make_context(service.state))
    storage.start()
    envelope = make_envelope("bob@example.test")
    message = NewMessage(envelope=envelope, lane="local/", due_at=time.time() + 86_400)
    for start in range(0, number, 1000):
        storage.write([message] * min(1000, number - start), queue="main")
    storage.stop()
    return service, number


class TestStreaming:
    def test_memory_does_not_grow_with_the_queue(self, large_store):
        """Listing all costs little more than listing ten."""
        service, number = large_store

        few, many = (peak_bytes(service.command("queue", "list", "--json", *more)) for more in (["--limit", "10"], []))

        assert (10, number) == (few[1], many[1])
        assert 8_000_000 > many[0] - few[0]

    def test_many_are_counted_and_held(self, large_store):
        service, number = large_store
        counted = subprocess.run(service.command("queue", "count", "--total"), capture_output=True, check=True)

        held = peak_bytes(service.command("queue", "hold", "--all", "--json"))

        few = peak_bytes(service.command("queue", "hold", "--all", "--only", "active"))
        assert (f"{number}\n".encode(), number) == (counted.stdout, held[1])
        assert 24_000_000 > held[0] - few[0]


def peak_bytes(command: list[str]) -> tuple[int, int]:
    """The most memory that a command had, and how many lines it wrote."""
    code = (
        "import resource, subprocess, sys\n"
        "process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)\n"
        "lines = sum(1 for _ in process.stdout)\n"
        "assert process.wait() == 0\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024, lines)"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    peak, lines = map(int, done.stdout.split())
    return peak, lines
