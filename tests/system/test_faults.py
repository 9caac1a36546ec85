"""Crashes, signals and relays that fail: what was answered with 250 is delivered, once."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import smtplib
import subprocess
import time

SLOW = 'kind = "blackhole"\ndelay_s = 3600'
BRIEF = 'kind = "blackhole"\ndelay_s = 0.5'
FAILING = 'kind = "blackhole"\nreply = "451 4.2.1 Mailbox busy"'
MESSAGE = b"Subject: %d\r\n\r\nbody\r\n"
GRACE_S = 30.0
"""`service.grace_s` where nothing is configured: whoever waits for it takes at least as long."""


def send(service, number=0):
    with smtplib.SMTP("127.0.0.1", service.port) as client:
        client.sendmail("a@example.org", ["bob@example.test"], MESSAGE % number)


class TestSigkill:
    def test_between_the_250_and_the_delivery_the_message_arrives_once_after_a_restart(self, service):
        service.configure(relay=SLOW)
        service.start()
        send(service)
        service.kill()
        assert [] == service.delivered()

        service.configure()
        service.start()

        service.wait_for_delivery()
        service.wait_for_event("queue.delivered")
        assert 0 == service.terminate()
        service.start()
        assert 0 == service.terminate()
        assert 1 == len(service.delivered())

    def test_everything_answered_with_250_survives_kills_under_load(self, service, open_client):
        """A client notes each 250 until the connection dies; all of them arrive."""
        noted = set()
        service.configure(relay=SLOW)
        for round_number in range(5):
            service.start()
            number = round_number * 1000
            killed_at = number + 20
            try:
                with open_client(service.port) as client:
                    while True:
                        client.send(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n")
                        assert ["250", "250", "354"] == [client.reply()[:3] for _ in range(3)]
                        client.send(MESSAGE % number + b".\r\n")
                        if number == killed_at:
                            service.process.kill()
                        assert client.reply().startswith("250 ")
                        noted.add(number)
                        number += 1
            except (OSError, RuntimeError, StopIteration):
                service.process.wait()

        service.configure()
        service.start()

        service.wait_for_delivery(len(noted))
        service.wait_until(
            lambda: b"" == subprocess.run(service.command("queue", "list", "--json"), capture_output=True).stdout,
            "the queue did not empty",
        )
        subjects = [int(re.search(rb"Subject: (\d+)", path.read_bytes())[1]) for path in service.delivered()]
        assert len(noted) >= 100
        assert noted <= set(subjects)
        assert len(subjects) == len(set(subjects))


class TestSigterm:
    def test_it_finishes_what_is_in_hand_and_exits_with_0(self, service):
        service.configure(relay=BRIEF)
        service.start()
        send(service)
        service.wait_for_event("queue.accepted")

        assert 0 == service.terminate()

        assert 1 == len(service.events("queue.delivered"))
        assert [True] == [event["is_complete"] for event in service.events("service.drained")]

    def test_an_idle_client_is_told_and_the_service_ends_at_once(self, service, open_client):
        service.start()
        with open_client(service.port) as client:
            began = time.monotonic()
            service.process.send_signal(signal.SIGTERM)

            assert client.reply().startswith("421 4.3.2 ")
            assert 0 == service.terminate()
            assert time.monotonic() - began < GRACE_S

    def test_a_second_signal_skips_the_grace(self, service):
        service.configure(relay=SLOW)
        service.start()
        send(service)
        service.wait_for_event("queue.accepted")
        service.process.send_signal(signal.SIGTERM)
        service.wait_for_event("service.draining")
        began = time.monotonic()

        assert 0 == service.terminate()

        assert time.monotonic() - began < GRACE_S
        listed = subprocess.run(service.command("queue", "list", "--json"), capture_output=True, check=True)
        (recipient,) = json.loads(listed.stdout)["recipients"]
        assert recipient["delay_reason"].startswith("451 4.3.2 ")


class TestHangUp:
    def test_it_goes_on_and_says_what_to_do_for_a_new_configuration(self, service):
        service.start()

        service.process.send_signal(signal.SIGHUP)

        assert "restart" in service.wait_for_event("service.reload_declined")["cure"]
        send(service)
        service.wait_for_delivery()
        assert 0 == service.terminate()

    def test_on_a_terminal_that_is_closed_it_finishes_what_is_in_hand(self, service):
        """It is told twice: by the shell, and by the kernel when the shell has ended."""
        service.configure(relay=BRIEF)
        terminal, its_end = os.openpty()
        process = subprocess.Popen(
            service.command("run"), stdout=its_end, stderr=its_end, start_new_session=True, cwd=service.folder
        )
        os.close(its_end)
        said = b""

        def read_on_until(words):
            nonlocal said
            while words not in said:
                said += os.read(terminal, 65_536)

        read_on_until(b"service.started")
        service.port = int(re.findall(rb"127\.0\.0\.1:(\d+)", said)[-1])
        send(service)
        read_on_until(b"queue.accepted")

        process.send_signal(signal.SIGHUP)
        read_on_until(b"service.draining")
        process.send_signal(signal.SIGHUP)

        with contextlib.suppress(OSError):  # the terminal's way to say that nobody is left at the other end
            while piece := os.read(terminal, 65_536):
                said += piece
        os.close(terminal)
        assert 0 == process.wait(GRACE_S * 2)
        assert b"queue.delivered" in said


class TestRelayFails:
    def test_the_message_stays_with_its_next_attempt_on_record(self, service):
        service.configure(relay=FAILING)
        service.start()
        send(service)
        deferred = service.wait_for_event("queue.deferred")

        listed = subprocess.run(service.command("queue", "list"), capture_output=True, text=True, check=True)

        assert deferred["queue_id"] in listed.stdout
        assert "bob@example.test" in listed.stdout
        assert "451 4.2.1 Mailbox busy" in listed.stdout

    def test_it_is_delivered_once_the_relay_works(self, service):
        service.configure(relay=FAILING)
        service.start("--set", 'queues.main.retry="1s"')
        send(service)
        service.wait_for_event("queue.deferred", count=2)
        service.terminate()

        service.configure()
        service.start("--set", 'queues.main.retry="1s"')

        (delivered,) = service.wait_for_delivery()
        assert b"Subject: 0" in delivered.read_bytes()

    def test_a_permanent_failure_comes_back_as_a_notice(self, service):
        service.configure(relay='kind = "blackhole"\nreply = "550 5.1.1 No such user"')
        service.start()
        send(service)

        bounced = service.wait_for_event("queue.bounced", count=2)

        assert ["sent", "suppressed: the sender is the null sender"] == [
            event["notice"] for event in service.events("queue.bounced")
        ]
        assert ["a@example.org"] == bounced["rcpts"]


class TestCannotStart:
    def test_a_port_in_use_is_exit_1_with_the_components_name(self, service, tmp_path):
        service.start()
        other = tmp_path / "other"

        refused = subprocess.run(
            [*service.command("run"), "--state", str(other), "--set", f'edges.mx.listen=["127.0.0.1:{service.port}"]'],
            capture_output=True,
            text=True,
            timeout=120,
        )

        assert 1 == refused.returncode
        assert "edges.mx" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert not other.exists()

    def test_a_locked_spool_is_exit_1_with_the_holders_pid(self, service):
        service.start()

        refused = subprocess.run(service.command("run"), capture_output=True, text=True, timeout=120)

        assert 1 == refused.returncode
        assert "storages.spool" in refused.stderr
        assert str(service.process.pid) in refused.stderr
        assert "Traceback" not in refused.stderr


class TestFirstStart:
    def test_a_socket_may_lie_in_the_state_folder_before_there_is_one(self, service):
        """As the kind `lmtp` has it by default: the folder is made before the edges bind."""
        options = ["--set", 'edges.mx.kind="lmtp"', "--set", 'edges.mx.listen=["unix:lmtp.sock", "127.0.0.1:0"]']
        with service.log.open("wb") as log:
            service.process = subprocess.Popen([*service.command("run"), *options], stdout=log, stderr=log)

        started = service.wait_for_event("service.started")

        assert f"unix:{service.state}/lmtp.sock" == started["addresses"]["edges.mx"][0]
        assert 0 == service.terminate()
