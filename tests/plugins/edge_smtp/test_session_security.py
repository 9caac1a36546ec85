"""Who a client is, what it may, and what of it is forgotten: TLS, AUTH, XCLIENT, relaying."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from mdacore import Chain, Credentials, Identity, Reply
from mdacore_edge_smtp import events
from mdacore_edge_smtp.tls_config import CertificateConfig, TlsConfig
from mdacore_edge_smtp.verdicts import AUTHENTICATED, BAD_CREDENTIALS, auth_verdict

TLS = TlsConfig(certificates=(CertificateConfig(certificate=Path("unread.pem")),))
ALICE = Identity(name="alice")
NO = Reply(code=535, enhanced="5.7.8", text="Not you")
DOWN = Reply(code=454, enhanced="4.7.0", text="Backend down")
FINE = Reply(code=235, enhanced="2.7.0", text="Fine")
SECRET = "correct horse"  # noqa: S105 (nobody's)
TO_ELSEWHERE = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<x@elsewhere.test>\r\n"


def plain(user: str = "alice", secret: str = SECRET) -> bytes:
    return b"AUTH PLAIN " + base64.b64encode(f"\0{user}\0{secret}".encode()) + b"\r\n"


def know(*answers: Any) -> Chain:
    """Users as these checks know them, in their order."""
    return Chain(auth=tuple(lambda *_, answer=answer: answer for answer in answers))


@pytest.fixture
def make_clear(make_wire):
    """A session in clear where AUTH is offered all the same."""
    return lambda *answers, **config: make_wire(know(*answers), auth_without_tls=True, **config).greet()


class TestAuthVerdict:
    @pytest.mark.parametrize(
        ("answers", "identity", "reply"),
        [
            ((None, None), None, BAD_CREDENTIALS),
            ((None, ALICE), ALICE, AUTHENTICATED),
            ((ALICE, Identity(name="bob")), ALICE, AUTHENTICATED),
            ((ALICE, NO), None, NO),
            ((DOWN, NO), None, DOWN),
            ((None, DOWN), None, DOWN),
            ((FINE,), None, BAD_CREDENTIALS),
            ((FINE, ALICE), ALICE, FINE),
        ],
    )
    def test_a_refusal_wins_and_a_success_alone_is_nobody(self, answers, identity, reply):
        assert (identity, reply) == auth_verdict(know(*answers).auth)

    def test_all_are_asked_with_the_session_and_the_credentials(self):
        asked: list[object] = []

        auth_verdict([lambda *given: asked.append(given), lambda *given: asked.append(given) or NO] * 2, 1, 2)

        assert [(1, 2)] * 4 == asked


class TestAuth:
    def test_who_is_known_is_a_fact_about_the_client(self, make_clear, handoff, log):
        wire = make_clear(ALICE)

        assert ["235 2.7.0 Authentication successful"] == wire.send(plain())
        wire.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<r@example.test>\r\nDATA\r\n")
        wire.send(b".\r\n")

        client = handoff.envelopes[0].client
        assert ("alice", "ESMTPA", "client.example.org") == (client.identity, client.protocol, client.helo)
        assert b" with ESMTPA id " in handoff.messages[0]
        assert ["alice"] == [fields["identity"] for fields in log.of(events.EDGE_AUTHENTICATED)]

    def test_the_validator_sees_what_the_client_said(self, make_wire):
        seen: list[Credentials] = []
        wire = make_wire(Chain(auth=(lambda _, said: seen.append(said),)), auth_without_tls=True).greet()

        wire.send(b"AUTH PLAIN " + base64.b64encode(f"bob\0alice\0{SECRET}".encode()) + b"\r\n")

        assert [Credentials(mechanism="PLAIN", authcid="alice", authzid="bob", secret=SECRET)] == seen

    @pytest.mark.parametrize(
        ("answer", "line"),
        [(None, "535 5.7.8 Authentication credentials invalid"), (NO, "535 5.7.8 Not you"), (DOWN, str(DOWN))],
    )
    def test_case_047_who_is_not_known_stays_a_stranger(self, make_clear, answer, line):
        wire = make_clear(answer)

        assert [line] == wire.send(plain())

        assert ("", "ESMTP") == (wire.session.client.identity, wire.session.client.protocol)

    def test_case_047_no_secret_is_ever_logged(self, make_clear, log):
        wire = make_clear(None)

        wire.send(plain())
        wire.send(b"AUTH LOGIN\r\n")
        wire.send(base64.b64encode(b"al\x1bice\r\n") + b"\r\n")
        wire.send(base64.b64encode(SECRET.encode()) + b"\r\n")

        (first, second) = log.of(events.EDGE_AUTH_FAILED)
        assert ("alice", "PLAIN", "192.0.2.7") == (first["user"], first["mechanism"], first["ip"])
        assert second["user"].isprintable()
        assert SECRET not in repr(log.events)
        assert base64.b64encode(SECRET.encode()).decode() not in repr(log.events)

    def test_case_047_three_failures_end_the_connection(self, make_clear):
        wire = make_clear(None)

        codes = [line[:9] for _ in range(3) for line in wire.send(plain())]

        assert ["535 5.7.8", "535 5.7.8", "421 4.7.0"] == codes
        assert wire.is_closed

    def test_a_validator_may_end_the_connection(self, make_clear):
        wire = make_clear(Reply(code=421, enhanced="4.7.0", text="Go away"))

        assert ["421 4.7.0 Go away"] == wire.send(plain())
        assert wire.is_closed

    @pytest.mark.parametrize(("answer", "count"), [(None, 1), (NO, 1), (DOWN, 0), (ALICE, 0)])
    def test_case_035_a_failure_counts_against_the_address_and_a_backend_that_is_down_does_not(
        self, make_clear, answer, count
    ):
        wire = make_clear(answer, max_auth_failures_an_hour=1)
        admission = wire.session._wiring.admission

        wire.send(plain())

        assert (count == 1) is (admission.admit("192.0.2.7", 0.0) is not None)

    def test_without_a_validator_there_is_no_auth(self, make_wire):
        wire = make_wire(auth_without_tls=True)

        assert not [line for line in wire.send(b"EHLO c\r\n") if "AUTH" in line]
        assert ["502 5.5.1"] == [line[:9] for line in wire.send(plain())]

    def test_an_identity_lasts_through_rset_and_another_ehlo(self, make_clear):
        wire = make_clear(ALICE)
        wire.send(plain())

        wire.send(b"RSET\r\n")
        wire.greet()

        assert ("alice", "ESMTPA") == (wire.session.client.identity, wire.session.client.protocol)


class TestGates:
    def test_case_046_mail_needs_tls_where_that_is_required(self, make_wire, log):
        wire = make_wire(tls=TLS, require_tls=True).greet()

        assert ["530 5.7.0 Must issue a STARTTLS command first"] == wire.send(b"MAIL FROM:<a@b.example>\r\n")
        wire.send(b"STARTTLS\r\n")
        wire.greet()
        assert ["250 2.1.0 Sender ok"] == wire.send(b"MAIL FROM:<a@b.example>\r\n")
        assert 1 == len(log.of(events.EDGE_MAIL_REJECTED))

    def test_case_046_auth_in_clear_is_538_and_nobody_is_asked(self, make_wire):
        asked: list[object] = []
        wire = make_wire(Chain(auth=(lambda *given: asked.append(given),)), tls=TLS).greet()

        assert ["538 5.7.11"] == [line[:10] for line in wire.send(plain())]
        assert [] == asked

    def test_mail_needs_a_user_where_that_is_required(self, make_clear):
        wire = make_clear(ALICE, require_auth=True)

        assert ["530 5.7.0 Authentication required"] == wire.send(b"MAIL FROM:<a@b.example>\r\n")
        wire.send(plain())
        assert ["250 2.1.0 Sender ok"] == wire.send(b"MAIL FROM:<a@b.example>\r\n")


class TestRelaying:
    """Nobody may, unless it is said so."""

    def test_a_user_may_not_by_default(self, make_clear):
        wire = make_clear(ALICE)
        wire.send(plain())

        assert "550 5.7.1 Relaying denied" == wire.send(TO_ELSEWHERE)[-1]

    def test_a_user_may_where_it_is_said_so_and_a_stranger_still_may_not(self, make_clear):
        wire = make_clear(ALICE, relay_for_authenticated=True)

        assert "550 5.7.1 Relaying denied" == wire.send(TO_ELSEWHERE)[-1]
        wire.send(b"RSET\r\n" + plain())
        assert "250 2.1.5 Recipient ok" == wire.send(TO_ELSEWHERE)[-1]

    def test_a_user_is_not_let_off_from_who_is_known_here(self, make_clear):
        wire = make_clear(ALICE, relay_for_authenticated=True, recipients=("bob@example.test",))
        wire.send(plain())

        assert "550 5.1.1 Recipient unknown" == wire.send(b"MAIL FROM:<>\r\nRCPT TO:<eve@example.test>\r\n")[-1]

    @pytest.mark.parametrize(("ip", "code"), [("192.0.2.7", "250"), ("192.0.3.7", "550"), ("", "550")])
    def test_networks_may_and_unix_sockets_are_in_none(self, make_wire, ip, code):
        wire = make_wire(ip=ip, relay_networks=("192.0.2.0/24",)).greet()

        assert code == wire.send(TO_ELSEWHERE)[-1][:3]

    def test_rcpt_validators_are_asked_about_what_is_relayed(self, make_wire):
        no = Reply(code=550, enhanced="5.7.1", text="Not there")
        wire = make_wire(Chain(rcpt=(lambda *_: no,)), relay_networks=("192.0.2.0/24",)).greet()

        assert str(no) == wire.send(TO_ELSEWHERE)[-1]


class TestTls:
    def secured(self, wire: Any) -> Any:
        wire.greet().send(b"STARTTLS\r\n")
        return wire

    def test_case_041_all_that_was_said_in_clear_is_forgotten(self, make_wire):
        wire = make_wire(know(ALICE), tls=TLS, auth_without_tls=True).greet()
        wire.send(plain())
        wire.send(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<r@example.test>\r\n")

        wire.send(b"STARTTLS\r\n")

        client = wire.session.client
        assert ("", "", "") == (client.helo, client.protocol, client.identity)
        assert (None, (), True) == (wire.session.sender, wire.session.recipients, wire.session.is_tls)
        assert ["503 5.5.1"] == [line[:9] for line in wire.send(b"RCPT TO:<r@example.test>\r\n")]

    def test_case_041_validators_notes_of_the_clear_part_are_gone_and_those_of_connect_are_not(self, make_wire):
        """A client on a blocklist does not get off it by STARTTLS."""

        def note(key: str) -> Any:
            return lambda session, *_: session.notes.__setitem__(key, True)

        seen: list[dict[str, object]] = []
        chain = Chain(
            connect=(note("ip"),), helo=(note("helo"),), tls=(lambda session: seen.append(dict(session.notes)),)
        )

        self.secured(make_wire(chain, tls=TLS))

        assert [{"ip": True}] == seen

    def test_case_041_who_speaks_for_another_cannot_start_tls_and_be_itself_again(self, make_wire):
        """The handshake would not be the client's, and would make the edge forget who the client is."""
        wire = make_wire(tls=TLS, xclient_from=("192.0.2.7",)).greet()
        wire.send(b"XCLIENT ADDR=198.51.100.9 LOGIN=alice\r\n")

        offered = wire.send(b"EHLO c\r\n")

        assert [] == [line for line in offered if "STARTTLS" in line]
        assert ["503 5.5.1"] == [line[:9] for line in wire.send(b"STARTTLS\r\n")]
        assert ("198.51.100.9", "alice") == (wire.session.client.ip, wire.session.client.identity)

    def test_case_041_under_tls_a_proxy_may_speak_for_another(self, make_wire):
        wire = self.secured(make_wire(tls=TLS, xclient_from=("192.0.2.7",))).greet()

        assert ["220"] == [line[:3] for line in wire.send(b"XCLIENT ADDR=198.51.100.9\r\n")]
        assert ["503 5.5.1 TLS is active already"] == wire.greet().send(b"STARTTLS\r\n")
        assert "198.51.100.9" == wire.session.client.ip

    def test_an_xclient_that_was_refused_changes_nothing(self, make_wire):
        wire = make_wire(tls=TLS, xclient_from=("192.0.2.7",)).greet()
        wire.send(b"XCLIENT ADDR=nonsense\r\n")

        assert ["220"] == [line[:3] for line in wire.greet().send(b"STARTTLS\r\n")]

    def test_under_tls_the_words_have_an_s(self, make_wire, handoff):
        wire = self.secured(make_wire(know(ALICE), tls=TLS)).greet()
        assert "ESMTPS" == wire.session.client.protocol
        wire.send(plain())
        assert "ESMTPSA" == wire.session.client.protocol

    def test_a_refusal_after_the_handshake_is_the_answer_to_ehlo(self, make_wire, log):
        no = Reply(code=554, enhanced="5.7.0", text="Not with that certificate")
        wire = self.secured(make_wire(Chain(tls=(lambda _: no,)), tls=TLS))

        assert [str(no)] * 2 == wire.send(b"EHLO c\r\n") + wire.send(b"EHLO c\r\n")
        assert ["503 5.5.1"] == [line[:9] for line in wire.send(b"MAIL FROM:<a@b.example>\r\n")]
        assert [str(no)] == [fields["reply"] for fields in log.of(events.EDGE_TLS_REJECTED)]

    def test_a_421_after_the_handshake_ends_the_connection(self, make_wire):
        wire = make_wire(Chain(tls=(lambda _: Reply(code=421, enhanced="4.7.0", text="Go"),)), tls=TLS).greet()

        assert ["220 2.0.0 Ready to start TLS", "421 4.7.0 Go"] == wire.send(b"STARTTLS\r\n")
        assert wire.is_closed

    def test_a_refusal_of_a_session_that_begins_with_tls_is_its_greeting(self, make_wire):
        no = Reply(code=554, enhanced="5.7.0", text="Not with that certificate")
        wire = make_wire(Chain(tls=(lambda _: no,)))
        wire.session.tls_started()

        assert ["554 Not with that certificate"] == [line.replace("5.7.0 ", "") for line in wire.send()]
        assert wire.is_closed


class TestXclient:
    def test_case_050_it_does_not_exist_unless_somebody_is_listed(self, make_wire):
        assert ["502 5.5.1"] == [line[:9] for line in make_wire().greet().send(b"XCLIENT ADDR=192.0.2.1\r\n")]

    def test_case_050_others_than_those_listed_are_refused(self, make_wire):
        wire = make_wire(xclient_from=("198.51.100.0/24",)).greet()

        assert ["550 5.7.0"] == [line[:9] for line in wire.send(b"XCLIENT ADDR=192.0.2.1 LOGIN=alice\r\n")]
        assert ("192.0.2.7", "") == (wire.session.client.ip, wire.session.client.identity)

    def test_all_begins_anew_with_another_client(self, make_wire, log):
        seen: list[tuple[str, dict[str, object]]] = []

        def connect(session: Any) -> None:
            seen.append((session.client.ip, dict(session.notes)))
            session.notes["ip"] = session.client.ip

        wire = make_wire(Chain(connect=(connect,)), xclient_from=("192.0.2.7",)).greet()

        lines = wire.send(b"XCLIENT ADDR=198.51.100.9 NAME=mail.example.org LOGIN=alice\r\n")

        assert ["220 mx.example.com ESMTP"] == [line.replace("2.0.0 ", "") for line in lines]
        assert [("192.0.2.7", {}), ("198.51.100.9", {})] == seen
        client = wire.session.client
        assert ("198.51.100.9", "mail.example.org", "", "alice") == (
            client.ip,
            client.host,
            client.helo,
            client.identity,
        )
        assert ["192.0.2.7"] == [fields["proxy_ip"] for fields in log.of(events.EDGE_CLIENT_REPLACED)]

    def test_several_commands_describe_one_client_and_a_proxys_own_identity_is_not_his(self, make_wire):
        wire = make_wire(know(ALICE), auth_without_tls=True, xclient_from=("192.0.2.7",)).greet()
        wire.send(plain())
        wire.send(b"XCLIENT ADDR=198.51.100.9\r\n")
        assert "" == wire.session.client.identity

        wire.greet().send(b"XCLIENT LOGIN=bob\r\n")

        assert ("198.51.100.9", "bob") == (wire.session.client.ip, wire.session.client.identity)

    def test_a_client_that_is_refused_at_connect_is_sent_away(self, make_wire):
        no = Reply(code=554, enhanced="5.7.1", text="Listed")
        wire = make_wire(
            Chain(connect=(lambda session: no if session.client.ip == "198.51.100.9" else None,)),
            xclient_from=("192.0.2.7",),
        ).greet()

        assert [str(no)] == wire.send(b"XCLIENT ADDR=198.51.100.9\r\n")
        assert wire.is_closed

    def test_a_login_is_an_identity(self, make_wire, handoff):
        wire = make_wire(xclient_from=("192.0.2.7",), require_auth=True, relay_for_authenticated=True).greet()
        wire.send(b"XCLIENT ADDR=IPV6:2001:db8::1 LOGIN=alice NAME=mail.example.org\r\n")
        wire.greet(b"EHLO laptop")

        wire.send(TO_ELSEWHERE + b"DATA\r\n")
        wire.send(b".\r\n")

        assert handoff.messages[0].startswith(
            b"Received: from laptop (mail.example.org [IPv6:2001:db8::1])\r\n\tby mx.example.com with ESMTPA id "
        )
