"""smtplib, of Python's own library; and BDAT, which it does not know, over its socket."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTPUTF8

import pytest

from .messages import ALL, DOTS, EIGHT_BIT, PLAIN, TEN_MB
from .server import OURS, PASSWORD, USER, below

pytestmark = pytest.mark.needs("openssl")

PATIENCE_S = 120


def crlf(message: bytes) -> bytes:
    return message.replace(b"\n", b"\r\n")


@pytest.fixture
def trust(server):
    return ssl.create_default_context(cafile=str(server.certificate))


@pytest.fixture
def client(server):
    """Connected to the edge for everybody, in clear."""
    with smtplib.SMTP("127.0.0.1", server.port("mx"), "client.example.org", PATIENCE_S) as client:
        yield client


class TestSend:
    @pytest.mark.parametrize("message", ALL.values(), ids=ALL)
    def test_messages_arrive_octet_for_octet(self, server, client, user, message):
        assert {} == client.sendmail("alice@example.org", [f"{user}@example.test"], crlf(message))

        (file,) = server.arrived(user)
        assert message == below(file, *OURS)

    def test_send_message_with_addresses_in_utf8(self, server, client, user):
        """RFC 6531; smtplib asks for SMTPUTF8 by itself."""
        message = EmailMessage(SMTPUTF8)
        message["From"], message["To"] = "jürgen@grüße.example", f"{user}-ü@grüße.test"
        message["Subject"] = "Grüße"
        message.set_content("Schöne Grüße\n", cte="8bit")

        assert {} == client.send_message(message)

        (file,) = server.arrived(f"{user}-ü")
        assert message.as_bytes(policy=SMTPUTF8.clone(linesep="\n")) == below(file, *OURS)
        assert "UTF8SMTP" == server.seen(f"{user}-ü@grüße.test").protocol

    def test_who_is_refused_is_told_and_the_rest_is_sent(self, server, client, user):
        refused = client.sendmail("alice@example.org", ["refused@example.test", f"{user}@example.test"], crlf(PLAIN))

        assert {"refused@example.test": (550, b"5.1.1 No such user")} == refused
        assert PLAIN == below(server.arrived(user)[0], *OURS)


class TestSecurity:
    def test_starttls_then_login(self, server, client, trust, user):
        client.starttls(context=trust)
        client.login(USER, PASSWORD)
        client.sendmail(USER, [f"{user}@example.test"], crlf(PLAIN))

        assert PLAIN == below(server.arrived(user)[0], *OURS)
        seen = server.seen(f"{user}@example.test")
        assert ("ESMTPSA", USER) == (seen.protocol, seen.identity)

    @pytest.mark.parametrize("has_initial_response", [True, False])
    @pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
    def test_each_mechanism_with_and_without_an_initial_response(self, client, trust, mechanism, has_initial_response):
        """RFC 4954 §4."""
        client.starttls(context=trust)
        client.ehlo()
        client.user, client.password = USER, PASSWORD
        answers = {"PLAIN": client.auth_plain, "LOGIN": client.auth_login}

        code, _ = client.auth(mechanism, answers[mechanism], initial_response_ok=has_initial_response)

        assert 235 == code

    def test_a_wrong_password_is_535(self, client, trust):
        client.starttls(context=trust)

        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login(USER, "wrong")

        assert 535 == refused.value.smtp_code

    def test_implicit_tls(self, server, trust, user):
        """RFC 8314 §3.3."""
        with smtplib.SMTP_SSL("127.0.0.1", server.port("submissions"), timeout=PATIENCE_S, context=trust) as client:
            client.login(USER, PASSWORD)
            client.sendmail(USER, [f"{user}@example.test"], crlf(PLAIN))

        assert PLAIN == below(server.arrived(user)[0], *OURS)


class TestLmtp:
    def test_a_message_to_one_recipient(self, server, user):
        """smtplib reads one reply after the message, so that it can have but one recipient."""
        with smtplib.LMTP("127.0.0.1", server.port("lmtp")) as client:
            client.sendmail("alice@example.org", [f"{user}@example.test"], crlf(PLAIN))

        assert PLAIN == below(server.arrived(user)[0], *OURS)


def send_chunks(client: smtplib.SMTP, chunks: list[bytes]) -> list[int]:
    """Send a message with BDAT (RFC 3030 §2), without waiting between the chunks; the codes of the replies."""
    last = len(chunks) - 1
    for number, chunk in enumerate(chunks):
        client.send(b"BDAT %d%s\r\n" % (len(chunk), b" LAST" if number == last else b"") + chunk)
    return [client.getreply()[0] for _ in chunks]


class TestChunks:
    @pytest.mark.parametrize("message", [DOTS, EIGHT_BIT, TEN_MB], ids=["dots", "eight bit", "10 MB"])
    def test_chunks_of_any_size_make_the_message(self, server, client, user, message):
        whole = crlf(message)
        size = len(whole) // 7 + 1
        chunks = [whole[start : start + size] for start in range(0, len(whole), size)]
        client.ehlo()
        assert client.has_extn("chunking")
        client.mail("alice@example.org")
        client.rcpt(f"{user}@example.test")

        codes = send_chunks(client, chunks)

        assert [250] * 7 == codes
        assert message == below(server.arrived(user)[0], *OURS)
