"""Cases 61, 62, 64, 65 and 66 on the real service, for both storages: killed at its calls, and with a disk that fails.

strace is attached to the running service between DATA's 354 and the message, so that its counts begin with the calls
that store this message.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import attrs
import pytest

pytestmark = pytest.mark.needs("strace")

PATIENCE_S = 120
RECORDER = Path(__file__).parent / "killloop" / "plugins"
CONFIG = """
plugins = ["edge_smtp", "storage_{kind}", "recorder"]
[edges.mx]
kind = "smtp"
listen = ["127.0.0.1:0"]
domains = ["recorded.test"]
[queues.main]
storage = "spool"
relay = "recorder"
[storages.spool]
kind = "{kind}"
[relays.recorder]
kind = "recorder"
"""
LOG = "queue.db-wal"


@attrs.define
class Disk:
    """What is special to one storage: `where` narrows strace to its files, where they have fixed names."""

    kind: str
    kills: list[tuple[str, int]]
    faults: list[str]
    where: str = ""
    sync: str = "fsync"


SHELVE = Disk(
    kind="shelve",
    # one commit accepts, the next ones settle with the notice and deliver it
    kills=[("pwrite64", n) for n in (1, 2, 4, 8, 12)] + [("fdatasync", n) for n in (1, 2, 3)],
    faults=["pwrite64"],
    where=LOG,
    sync="fdatasync",
)
DISK = Disk(
    kind="disk",
    kills=[(call, n) for call in ("pwrite64", "fsync") for n in (1, 2, 3, 4)]
    + [("rename", 1), ("rename", 2), ("unlink", 1), ("unlink", 2), ("unlink", 3)],
    faults=["pwrite64", "rename"],
)
BOTH = pytest.mark.parametrize("disk", [SHELVE, DISK], ids=lambda disk: disk.kind)


@attrs.define
class Tracer:
    """strace on a running service; `text` is what it has seen once it has been detached."""

    service: object
    process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> Path:
        return self.service.folder / "strace"

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace")

    @contextlib.contextmanager
    def attached(self, *options: str):
        """Attached while the block runs, if the service lives so long."""
        command = [
            "strace",
            "-f",
            "-y",
            "-s",
            "60",
            "-o",
            str(self.output),
            "-p",
            str(self.service.process.pid),
            *options,
        ]
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            assert b"attached" in process.stderr.readline()
            yield
        finally:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE_S)
            process.kill()
            process.wait()
            process.stderr.close()

    def on(self, name: str) -> list[str]:
        """Options for the calls on one of the storage's files only."""
        return ["-P", str(self.service.state / "spool" / name)] if name else []


@pytest.fixture
def tracer(service):
    return Tracer(service)


@pytest.fixture
def run(service, monkeypatch, disk):
    """Start the service with this storage."""
    monkeypatch.setenv("PYTHONPATH", str(RECORDER))
    (service.folder / "mda.toml").write_text(CONFIG.format(kind=disk.kind))
    service.start()
    return service


def mail(client, *rcpts: str, sender: str = "s.ok") -> str:
    """Everything before the message; gives the last reply."""
    replies = [client.ask(f"MAIL FROM:<{sender}@recorded.test>")]
    replies += [client.ask(f"RCPT TO:<{rcpt}@recorded.test>") for rcpt in rcpts]
    replies.append(client.ask("DATA"))
    assert ["250"] * (1 + len(rcpts)) + ["354"] == [reply[:3] for reply in replies]
    return replies[-1]


def message(client, text: bytes = b"body") -> str:
    client.send(b"Subject: one\r\n\r\n" + text + b"\r\n.\r\n")
    return client.reply()


def deliveries(service) -> list[str]:
    path = service.state / "deliveries.jsonl"
    return (
        [json.loads(line)["rcpt"].partition("@")[0] for line in path.read_text().splitlines()] if path.exists() else []
    )


def queued(service) -> list[dict[str, object]]:
    listed = subprocess.run(service.command("queue", "list", "--json"), capture_output=True, check=True)
    return [json.loads(line) for line in listed.stdout.splitlines()]


def die(service) -> None:
    """It must die by the injected signal. Raises TimeoutExpired: the call was never made."""
    assert -signal.SIGKILL == service.process.wait(PATIENCE_S)


@BOTH
class TestKilled:
    def test_case_061_at_each_call_every_message_arrives_whole_or_not_at_all(self, run, tracer, open_client, disk):
        """One recipient is delivered, one fails and comes back as a notice, to the sender, one is delivered."""
        accepted, rounds = set(), [(*kill, disk.where) for kill in disk.kills]
        rounds += [("sendto", 1, ""), ("write", 1, "../deliveries.jsonl"), ("write", 2, "../deliveries.jsonl")]
        for number, (call, count, where) in enumerate(rounds):
            if number:
                run.start()
            names = [f"r{number}.1.ok", f"r{number}.never", f"r{number}.2.ok"]
            where = os.path.normpath(where) if where else ""
            try:
                with open_client(run.port) as client:
                    mail(client, *names, sender=f"s{number}.ok")
                    injection = ["-e", f"inject={call}:signal=KILL:when={count}", "-e", f"trace={call}"]
                    on = tracer.on(where) if where else []
                    with tracer.attached(
                        *(on if not where.startswith("..") else ["-P", str(run.state / where[3:])]), *injection
                    ):
                        client.send(b"Subject: one\r\n\r\nbody\r\n.\r\n")
                        with contextlib.suppress(OSError, RuntimeError, StopIteration):
                            if client.reply().startswith("250 "):
                                accepted.add(number)
                        die(run)
            except (ConnectionError, RuntimeError, StopIteration):
                die(run)

        run.start()
        for number in accepted:
            wanted = {f"r{number}.1.ok", f"r{number}.2.ok", f"s{number}.ok"}
            run.wait_until(lambda wanted=wanted: wanted <= set(deliveries(run)), f"{rounds[number]}: {wanted}")
        run.wait_until(lambda: [] == queued(run), "the queue did not empty")
        assert 0 == run.terminate()
        arrived = deliveries(run)
        for number, where in enumerate(rounds):
            counts = [arrived.count(f"{name}.ok") for name in (f"r{number}.1", f"r{number}.2", f"s{number}")]
            assert all(counts) or not any(counts), (where, counts)
            assert max(counts) <= 2, (where, counts)
            assert all(counts) or number not in accepted
        assert len(accepted) > 2
        assert len(accepted) < len(rounds)


@BOTH
class TestOrder:
    def test_case_062_everything_is_synced_before_the_250_is_sent(self, run, tracer, open_client, disk):
        calls = "trace=pwrite64,fsync,fdatasync,rename,sendto"
        with open_client(run.port) as client:
            mail(client, "r.ok")
            with tracer.attached("-e", calls):
                assert message(client).startswith("250 ")

        lines = re.findall(r"^\d+ +(.*)$", tracer.text, re.M)
        sent = next(n for n, line in enumerate(lines) if line.startswith("sendto(") and '"250 2.' in line)
        before = lines[:sent]
        wanted = {
            "shelve": [
                r"pwrite64\(\d+<[^>]*/queue.db-wal>",
                r"fdatasync\(\d+<[^>]*/queue.db-wal>.*= 0|fdatasync.*resumed",
            ],
            "disk": [
                r"pwrite64\(\d+<[^>]*/tmp/\w+\.msg>",
                r"fsync\(\d+<[^>]*/tmp/\w+\.msg>",
                r"rename\(.*/tmp/\w+\.msg.*/messages/\w\w/\w+\.msg",
                r"fsync\(\d+<[^>]*/messages/\w\w>",
            ],
        }[disk.kind]
        left = list(wanted)
        for line in before:
            if left and re.search(left[0], line):
                left.pop(0)
        assert [] == left, before
        last_write = max(n for n, line in enumerate(before) if line.startswith(("pwrite64(", "rename(")))
        assert any("sync" in line for line in before[last_write:])


@BOTH
class TestFull:
    def test_case_064_what_cannot_be_written_is_refused_and_later_accepted_without_a_restart(
        self, run, tracer, open_client, disk
    ):
        replies = {}
        with open_client(run.port) as client:
            for call in disk.faults:
                for error in ("ENOSPC", "EDQUOT", "EROFS", "EIO"):
                    mail(client, "refused.ok")
                    with tracer.attached(
                        *tracer.on(disk.where), "-e", f"inject={call}:error={error}", "-e", f"trace={call}"
                    ):
                        replies[call, error] = message(client)[:9]
                    mail(client, f"{call}.{error}.ok")
                    assert message(client).startswith("250 ")
        run.wait_until(lambda: len(deliveries(run)) == len(replies), "not all that was accepted has arrived")

        expected = {(call, error): "452 4.3.1" if error == "ENOSPC" else "451 4.3.0" for call, error in replies}
        assert expected == replies
        assert sorted(f"{call}.{error}.ok" for call, error in replies) == sorted(deliveries(run))
        run.wait_until(lambda: [] == queued(run), "something partial is queued")
        assert 0 == subprocess.run(run.command("health", "--strict"), capture_output=True, check=False).returncode


@BOTH
class TestFailedSync:
    def test_case_065_it_is_not_repeated_nothing_is_accepted_and_health_is_red(self, run, tracer, open_client, disk):
        with open_client(run.port) as client:
            mail(client, "before.ok")
            assert message(client).startswith("250 ")
            run.wait_until(lambda: "before.ok" in deliveries(run), "not delivered")
            run.wait_until(lambda: [] == queued(run), "not settled")
            mail(client, "refused.ok")
            options = ["-e", f"inject={disk.sync}:error=EIO:when=1", "-e", "trace=fsync,fdatasync"]
            with tracer.attached(*tracer.on(disk.where), *options):
                assert "451 4.3.0" == message(client)[:9]
                refusal = client.ask("MAIL FROM:<s.ok@recorded.test>")
                assert refusal.startswith(("451 4.3.0", "452 4.3", "421 4.3.0")), refusal
                health = subprocess.run(run.command("health"), capture_output=True, text=True, check=False)
                assert 1 == health.returncode
                assert re.search(r"^storages.spool +failed", health.stdout, re.M)
                assert 0 == run.terminate()

        syncs = re.findall(r"(?:fsync|fdatasync)\(", tracer.text)
        assert 1 == len(syncs), tracer.text
        run.start()
        with open_client(run.port) as client:
            mail(client, "after.ok")
            assert message(client).startswith("250 ")
        run.wait_until(lambda: "after.ok" in deliveries(run), "not delivered")


@BOTH
class TestLowWater:
    def test_case_066_mail_is_refused_before_its_data_and_deliveries_go_on(self, run, open_client, disk):
        relay = run.folder / "mda.toml"
        with open_client(run.port) as client:
            mail(client, "waiting.later")
            assert message(client).startswith("250 ")
        run.wait_for_event("queue.deferred")
        run.terminate()
        relay.write_text(relay.read_text().replace('relay = "recorder"', 'relay = "recorder"\nretry = "1s"'))
        run.start("--set", 'storages.spool.min_free_bytes="1000000GB"')

        with open_client(run.port) as client:
            assert "452 4.3.1" == client.ask("MAIL FROM:<s.ok@recorded.test>")[:9]
            assert client.ask("RCPT TO:<r.ok@recorded.test>").startswith("503")
            retried = subprocess.run(run.command("queue", "retry", "--all"), capture_output=True, check=False)
            assert 0 == retried.returncode, retried.stderr
        run.wait_until(lambda: ["waiting.later"] == deliveries(run), "not delivered")
