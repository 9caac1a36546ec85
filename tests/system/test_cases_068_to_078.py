"""Cases 68 to 71, 73 to 76 and 78 on the real service and its commands, for both storages where both can."""

from __future__ import annotations

import json
import os
import re
import smtplib
import sqlite3
import subprocess
import time
from datetime import datetime
from pathlib import Path

import attrs
import pytest

from mdacore import NewMessage
from mdacore.testing import make_context, make_envelope
from mdacore_storage_shelve import ShelveConfig, ShelveStorage

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
retry = "{retry}"
[storages.spool]
kind = "{kind}"
[relays.recorder]
kind = "recorder"
"""
PAGE = 8192


@pytest.fixture(params=["shelve", "disk"])
def kind(request):
    return request.param


@pytest.fixture
def configured(service, monkeypatch):
    """Write the configuration for a storage of this kind."""
    monkeypatch.setenv("PYTHONPATH", str(RECORDER))

    def configure(kind, retry="1h"):
        (service.folder / "mda.toml").write_text(CONFIG.format(kind=kind, retry=retry))
        return service

    return configure


def command(service, *words, timeout=PATIENCE_S):
    return subprocess.run(service.command(*words), capture_output=True, text=True, timeout=timeout, check=False)


def send(service, *names, sender="s.ok", size_bytes=20):
    with smtplib.SMTP("127.0.0.1", service.port, timeout=PATIENCE_S) as client:
        rcpts = [f"{name}@recorded.test" for name in names]
        client.sendmail(f"{sender}@recorded.test", rcpts, b"Subject: x\r\n\r\n" + b"x" * size_bytes + b"\r\n")


def arrived(service):
    path = service.state / "deliveries.jsonl"
    return (
        [json.loads(line)["rcpt"].partition("@")[0] for line in path.read_text().splitlines()] if path.exists() else []
    )


def tree(path):
    return {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name != "lock"}


class TestDamagedDatabase:
    @pytest.fixture
    def damaged(self, configured):
        """Thirty messages that wait, and a database whose first page and one page of messages are garbage."""
        service = configured("shelve")
        service.start()
        for number in range(30):
            send(service, f"r{number}.later", size_bytes=500 * number)
        service.wait_for_event("queue.deferred", 30)
        assert 0 == service.terminate()
        database = service.state / "spool" / "queue.db"
        with sqlite3.connect(database) as connection:
            ((root,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'lane'")
        connection.close()
        octets = bytearray(database.read_bytes())
        for page in (1, root):
            octets[(page - 1) * PAGE : page * PAGE] = os.urandom(PAGE)
        database.write_bytes(octets)
        return service

    def test_case_068_start_refuses_with_one_message_and_recover_saves_the_mail(self, damaged):
        before = tree(damaged.state / "spool")
        refused = command(damaged, "run")
        assert 1 == refused.returncode
        (line,) = [line for line in refused.stderr.splitlines() if line.startswith("mdacore: ")]
        assert "storages.spool" in line
        assert "`mdacore queue recover`" in line
        assert "Traceback" not in refused.stderr
        assert before == tree(damaged.state / "spool")

        tried = command(damaged, "queue", "recover", "--dry-run", "--json")
        assert before == tree(damaged.state / "spool")
        recovered = command(damaged, "queue", "recover")
        again = command(damaged, "queue", "recover")

        assert (0, 30) == (tried.returncode, json.loads(tried.stdout)["saved"])
        assert 0 == recovered.returncode, recovered.stderr
        assert "30 messages were saved" in recovered.stdout
        assert "damaged-" in recovered.stdout
        assert (0, "storages.spool: sound; nothing was changed\n") == (again.returncode, again.stdout)
        damaged.start()
        assert "stop it first" in command(damaged, "queue", "recover").stderr
        assert 0 == command(damaged, "queue", "retry", "--all").returncode
        damaged.wait_until(lambda: 30 == len(arrived(damaged)), "not all was delivered")
        (kept,) = (damaged.state / "spool").glob("damaged-*")
        assert before[Path("queue.db")] == (kept / "queue.db").read_bytes()

    def test_what_is_lost_is_named_and_the_status_says_so(self, damaged):
        database = damaged.state / "spool" / "queue.db"
        octets = bytearray(database.read_bytes())
        pages = [octets[at : at + PAGE] for at in range(0, len(octets), PAGE)]
        (leaf, *_) = (n for n, page in enumerate(pages) if page[0] == 13 and page.count(b"mdaE") > 3)
        octets[leaf * PAGE : (leaf + 1) * PAGE] = os.urandom(PAGE)
        database.write_bytes(octets)

        recovered = command(damaged, "queue", "recover", "--json")

        found = json.loads(recovered.stdout)
        lost = [one["what"] for one in found["lost"] if "body" in one["reason"]]
        assert 65 == recovered.returncode
        assert 30 == found["saved"] + len(lost)
        assert len(lost) > 3
        listed = command(damaged, "queue", "list", "--json").stdout.splitlines()
        assert not set(lost) & {json.loads(line)["queue_id"] for line in listed}

    def test_a_storage_without_recovery_is_told_apart(self, configured):
        service = configured("disk")

        refused = command(service, "queue", "recover")

        assert 1 == refused.returncode
        assert "no storage here can be recovered by command" in refused.stderr


class TestMountPoint:
    def test_case_069_an_existing_folder_without_a_store_is_refused_until_the_operator_says_so(self, configured, kind):
        service = configured(kind)
        spool = service.state / "spool"
        spool.mkdir(parents=True)

        refused = command(service, "run")

        assert 1 == refused.returncode
        assert "`mdacore run --init-spool`" in refused.stderr
        assert [] == list(spool.iterdir())
        service.start("--init-spool")
        send(service, "one.ok")
        service.wait_until(lambda: ["one.ok"] == arrived(service), "not delivered")
        assert 0 == service.terminate()
        service.start()
        assert 0 == service.terminate()


class TestTwoOwners:
    def test_case_070_the_second_refuses_with_the_pid_and_a_dead_ones_lock_is_taken_over(self, configured, kind):
        service = configured(kind)
        service.start()

        refused = command(service, "run")

        assert 1 == refused.returncode
        assert f"in use by process {service.process.pid}" in refused.stderr
        service.kill()
        (service.state / "spool" / "lock").write_text(f"{os.getpid()}\n")  # somebody has that pid by now
        service.start()
        assert 0 == service.terminate()


class TestPickle:
    def test_case_071_a_planted_pickle_is_never_run_and_the_others_go_out(self, configured, kind, tmp_path):
        service = configured(kind)
        service.start()
        send(service, "one.later")
        send(service, "two.later")
        service.wait_for_event("queue.deferred", 2)
        assert 0 == service.terminate()
        octets = (
            f"cos\nsystem\n(S'touch {tmp_path / 'run'}'\ntR.".encode()
        )  # a pickle that touches a file when it is read
        spool = service.state / "spool"
        if kind == "shelve":
            with sqlite3.connect(spool / "queue.db") as connection:
                connection.execute("UPDATE message SET envelope = ? WHERE id = 1", (octets,))
            connection.close()
        else:
            min((spool / "messages" / "00").glob("*.msg")).write_bytes(octets)

        service.start()
        command(service, "queue", "retry", "--all")

        service.wait_until(lambda: ["two.later"] == arrived(service), "not delivered")
        service.wait_until(lambda: service.events("storage.entry_quarantined"), "not set aside")
        assert 1 == command(service, "health", "--strict").returncode
        assert not (tmp_path / "run").exists()


class TestPartialDelivery:
    def test_case_075_only_the_deferred_recipient_is_tried_again_over_a_kill_between_each_step(self, configured, kind):
        """a is delivered, b deferred, c fails: by stable numbers, not by places in a list that shrinks."""
        service = configured(kind)
        service.start()
        send(service, "c.never", "a.ok", "b.later", sender="s.ok")
        service.wait_for_event("queue.deferred")
        service.wait_until(lambda: {"a.ok", "s.ok"} == set(arrived(service)), "first attempt")
        service.wait_until(lambda: 1 == len(listed(service)), "the notice is on its way")
        service.kill()
        service.start()
        assert [["b.later@recorded.test"]] == [
            [one["address"] for one in entry["recipients"]] for entry in listed(service)
        ]
        service.kill()
        service.start()

        command(service, "queue", "retry", "--all")

        service.wait_until(lambda: [] == listed(service), "not done")
        assert ["a.ok", "b.later", "s.ok"] == sorted(arrived(service))


def listed(service):
    return [json.loads(line) for line in command(service, "queue", "list", "--json").stdout.splitlines()]


class TestManyQueued:
    def test_case_074_with_100_000_queued_it_listens_at_once_and_new_mail_goes_first_out(self, configured):
        """Start needs no scan and no body: what is due is found through an index."""
        service = configured("shelve")
        storage = ShelveStorage(ShelveConfig(path=service.state / "spool"), make_context("x", state_path=service.state))
        storage.start()
        envelope = make_envelope("old.later@recorded.test")
        deferred = NewMessage(envelope=envelope, lane="recorder/", due_at=time.time() + 86_400)
        for _ in range(100):
            storage.write([deferred] * 1000, queue="main")
        storage.write([attrs.evolve(deferred, due_at=time.time())], queue="main")
        storage.stop()

        service.start()
        began = service.events("service.started")[0]["timestamp"], service.events("storage.opened")[0]["timestamp"]
        send(service, "new.ok")

        service.wait_until(lambda: "new.ok" in arrived(service), "new mail waits for old mail")
        service.wait_for_event("queue.deferred")
        assert 2.0 > (datetime.fromisoformat(began[0]) - datetime.fromisoformat(began[1])).total_seconds()
        status = Path(f"/proc/{service.process.pid}/status").read_text()
        assert 150_000 > int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])
        assert 0 == service.terminate()


class TestFutureFiles:
    def test_case_073_files_from_the_future_are_delivered(self, configured, kind):
        service = configured(kind)
        service.start()
        send(service, "one.later", size_bytes=400_000)
        service.wait_for_event("queue.deferred")
        assert 0 == service.terminate()
        for path in (service.state / "spool").rglob("*"):
            os.utime(path, times=(time.time() + 10 * 86_400,) * 2)

        service.start()
        command(service, "queue", "retry", "--all")

        service.wait_until(lambda: ["one.later"] == arrived(service), "not delivered")


class TestRemoval:
    def test_case_076_a_body_whose_record_is_gone_is_no_message_and_is_swept(self, configured):
        """What a kill between the two removals leaves; `storage_disk` is killed there for case 61."""
        service = configured("shelve")
        service.start()
        send(service, "one.ok", size_bytes=400_000)
        service.wait_until(lambda: ["one.ok"] == arrived(service), "not delivered")
        service.wait_until(lambda: [] == listed(service), "not settled")
        assert 0 == service.terminate()
        left = service.state / "spool" / "bodies" / "1"
        left.write_bytes(bytes(400_000))

        service.start()

        service.wait_until(lambda: not left.exists(), "not swept")
        assert [] == listed(service)
        assert 0 == service.terminate()
        assert ["one.ok"] == arrived(service)
        assert [] == service.events("storage.entry_quarantined")
