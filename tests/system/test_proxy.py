"""A proxy queue in the real service, over real sockets: what a client hears is what became of its mail."""

from __future__ import annotations

import contextlib
import socket
import subprocess

import pytest

from .conftest import PATIENCE_S, Client

CONFIG = """
plugins = ["edge_smtp", "policy_headers", "relay_maildir", "relay_blackhole"]
[edges.mx]
kind = "{edge}"
listen = ["127.0.0.1:0"]
domains = ["example.test", "far.test"]
[queues.out]
proxy = true
policies = ["headers"]
relay = "local"
[[queues.out.routes]]
domains = ["far.test"]
relay = "far"
[policies.headers]
kind = "headers"
[relays.local]
kind = "maildir"
[relays.far]
kind = "blackhole"
reply = "{reply}"
delay_s = {delay_s}
"""
MESSAGE = b"Subject: one\r\n\r\nbody\r\n"


@pytest.fixture
def proxying(service):
    """Start a service whose mail for far.test gets this reply."""

    def start(reply="250 2.0.0 Delivered to nowhere", delay_s=0.0, edge="smtp"):
        (service.folder / "mda.toml").write_text(CONFIG.format(reply=reply, delay_s=delay_s, edge=edge))
        return service.start()

    return start


def send(client, rcpt, message=MESSAGE):
    """The replies to MAIL, RCPT, DATA and the message."""
    replies = [client.ask("MAIL FROM:<alice@example.org>"), client.ask(f"RCPT TO:<{rcpt}>"), client.ask("DATA")]
    client.send(message + b".\r\n")
    return [*replies, client.reply()]


class TestReplies:
    @pytest.mark.parametrize("reply", ["250 2.0.0 Taken", "450 4.2.1 Mailbox busy", "550 5.1.1 No such user"])
    def test_the_client_hears_what_the_relay_said(self, proxying, open_client, reply):
        service = proxying(reply)

        with open_client(service.port) as client:
            said = send(client, "bob@far.test")[-1]
            again = send(client, "bob@far.test")[-1]

        assert [reply, reply] == [said, again]
        proxied = service.wait_for_event("queue.proxied", 2)
        assert ([reply], ["bob@far.test"]) == ([proxied["reply"]], proxied["rcpts"])
        assert proxied["session_id"] == service.wait_for_event("edge.session_closed")["session_id"]

    def test_250_is_said_when_the_mail_is_in_the_maildir(self, proxying, open_client):
        service = proxying()

        with open_client(service.port) as client:
            assert send(client, "bob@example.test")[-1].startswith("250 ")
            (delivered,) = service.delivered()

        assert delivered.read_bytes().endswith(b"\nSubject: one\n\nbody\n")

    def test_a_large_message_goes_through_a_file_that_is_gone_afterwards(self, proxying, open_client):
        service = proxying()

        with open_client(service.port) as client:
            said = send(client, "bob@example.test", b"Subject: x\r\n\r\n" + b"y" * 70 * 14_000 + b"\r\n")[-1]

        assert said.startswith("250 ")
        service.wait_until(lambda: not [*(service.state / "proxy" / "out").iterdir()], "the file is still there")
        assert 70 * 14_000 < service.delivered()[0].stat().st_size

    def test_smtp_takes_one_recipient_a_transaction(self, proxying, open_client):
        """One reply cannot carry mixed results (RFC 5321 §4.5.3.1.10: 452)."""
        service = proxying()

        with open_client(service.port) as client:
            client.ask("MAIL FROM:<alice@example.org>")
            first = client.ask("RCPT TO:<bob@example.test>")
            second = client.ask("RCPT TO:<bob@far.test>")

        assert ["250", "452 4.5.3"] == [first[:3], second[:9]]


class TestLmtp:
    def test_each_recipient_has_its_own_reply_in_order_duplicates_too(self, proxying):
        """RFC 2033 §4.2; design §4."""
        service = proxying("450 4.2.1 Mailbox busy", edge="lmtp")
        rcpts = ["bob@far.test", "bob@example.test", "bob@far.test", "carol@example.test"]

        with socket.create_connection(("127.0.0.1", service.port), PATIENCE_S) as connection:
            client = Client(connection, iter(connection.makefile("rb")))
            client.reply()
            for line in ("LHLO client.example.org", "MAIL FROM:<alice@example.org>"):
                assert client.ask(line).startswith("250")
            taken = [client.ask(f"RCPT TO:<{rcpt}>")[:3] for rcpt in rcpts]
            client.ask("DATA")
            client.send(MESSAGE + b".\r\n")
            replies = [client.reply()[:3] for _ in rcpts]
            delivered = service.delivered()

        assert ["250"] * 4 == taken
        assert ["450", "250", "450", "250"] == replies
        assert ["bob", "carol"] == [path.parent.parent.name for path in delivered]


class TestClientGone:
    def test_case_018_what_was_relayed_is_in_the_log(self, proxying, open_client):
        """The client hangs up after the end of its message: the relay has it, and the log says so."""
        service = proxying("250 2.0.0 Taken", delay_s=0.2)

        with open_client(service.port) as client:
            for line in ("MAIL FROM:<alice@example.org>", "RCPT TO:<bob@far.test>", "DATA"):
                client.ask(line)
            client.send(MESSAGE + b".\r\n")

        assert "250 2.0.0 Taken" == service.wait_for_event("queue.proxied")["reply"]


class TestStop:
    def test_case_039_a_message_in_hand_is_finished_and_answered(self, proxying, open_client):
        service = proxying("250 2.0.0 Taken", delay_s=0.5)

        with open_client(service.port) as client, contextlib.suppress(StopIteration):
            for line in ("MAIL FROM:<alice@example.org>", "RCPT TO:<bob@far.test>", "DATA"):
                client.ask(line)
            client.send(MESSAGE + b".\r\n")
            service.wait_until(lambda: bool(service.process), "no process")
            service.process.terminate()
            assert "250 2.0.0 Taken" == client.reply()

        assert 0 == service.process.wait(120)


class TestOperator:
    def test_commands_say_that_it_holds_nothing(self, proxying):
        service = proxying()
        commands = [("list",), ("count",), ("top",), ("list", "--queue", "out")]

        done = [
            subprocess.run(service.command("queue", *command), capture_output=True, text=True, timeout=120)
            for command in commands
        ]

        said = "mdacore: out: a proxy queue relays while the client waits, and holds no messages\n"
        assert [(0, said)] * len(commands) == [(one.returncode, one.stderr) for one in done]

    def test_nothing_is_imported_into_it(self, proxying, tmp_path):
        service = proxying()
        (tmp_path / "export").mkdir()

        command = service.command("queue", "import", str(tmp_path / "export"), "--queue", "out")
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)

        assert "holds no messages" in done.stderr
        assert 2 == done.returncode

    def test_health_shows_it(self, proxying):
        service = proxying()

        done = subprocess.run(service.command("health"), capture_output=True, text=True, timeout=120)

        assert "queues.out" in done.stdout
        assert 0 == done.returncode
