"""The contract suite for policies that speak at session time: a class of tests to inherit. Needs pytest.

    class TestMyPolicy(ValidatorsContract):
        def make_policy(self, context):
            return MyPolicy(MyConfig(), context)

Only the stages at which the policy speaks are asked. Each test is one rule of `mdacore.contracts.session`. Not tested:
which answers are right; and what an edge makes of them, which is in the edges' suite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs
import gevent
import pytest

from mdacore.contracts import Component, Credentials, Greeting, Handed, Identity, MailCommand, RcptCommand, Validators
from mdacore.testing.logs import CapturedLog
from mdacore.testing.messages import make_envelope
from mdacore.testing.policy_contract import PolicyContract
from mdacore.testing.probes import HUB_BLOCKED_S, INTERRUPT_AFTER_S, Struck, hub_turns, killed, nothing_left, timed_out
from mdacore.testing.samples import ODD_ADDRESSES, odd_envelopes
from mdacore.words import Client, Reply, SessionId

STAGES = tuple(field.name for field in attrs.fields(Validators))
SECRET = "correct horse battery staple"  # noqa: S105 - nobody's
ODD_NAMES = ("", "mx.example.org", "[192.0.2.1]", "-", "a b", "x" * 1000, "\x00\r\n", "\udcff", "bücher.test", "..")
AT_ONCE = 20
"""How many sessions the suite holds at the same time."""

Answer = Identity | Reply | None
Check = Callable[..., Answer]


@attrs.define(kw_only=True)
class FakeSession:
    """A Session at an edge, to be read."""

    client: Client = attrs.field(factory=lambda: Client(ip="192.0.2.1", edge="mx", session_id=SessionId("s1")))
    sender: str | None = None
    recipients: Sequence[str] = ()
    is_tls: bool = False
    notes: dict[str, object] = attrs.field(factory=dict)


@pytest.mark.usefixtures("checks")
class ValidatorsContract(PolicyContract):
    """What all validators keep. Inherit, and give `make_policy`."""

    notes_prefix = ""
    """What the policy's keys in `Session.notes` begin with: its plugin's name. Left out, it may leave no notes."""

    def use(self, component: Component) -> None:  # noqa: ARG002 - its parts are at hand
        self._whole_session(FakeSession())

    @pytest.fixture
    def checks(self, component: Component) -> Mapping[str, Check]:  # noqa: ARG002 - it is up
        """The checks of the policy, which is up, by their stages."""
        checks = self._checks()
        assert checks, "it speaks at no stage"
        return checks

    # answers

    def test_an_answer_is_none_or_a_reply(self, checks: Mapping[str, Check]) -> None:
        """None is no opinion. `auth` may answer an Identity, too; True, False and text are nothing at all."""
        for stage, answer in self._answers(checks):
            expected = (Reply, Identity) if stage == "auth" else (Reply,)
            assert answer is None or isinstance(answer, expected), f"{stage} answered {answer!r}"

    def test_a_reply_is_2yz_4yz_or_5yz(self, checks: Mapping[str, Check]) -> None:
        """A 3yz would tell the client to go on with what was never asked for."""
        for stage, answer in self._answers(checks):
            assert not isinstance(answer, Reply) or answer.code // 100 in (2, 4, 5), f"{stage} answered {answer}"

    def test_whatever_a_client_says_is_answered(self, checks: Mapping[str, Check]) -> None:
        """A check that raises is settled by `on_error`; what a client may say is no reason to raise."""
        for stage, check in checks.items():
            for session, argument in _odd_questions(stage):
                check(session, *argument)

    # what it may touch

    def test_what_it_is_shown_is_left_as_it_was(self, checks: Mapping[str, Check]) -> None:
        """The session belongs to the edge; only its notes are for validators."""
        for stage, check in checks.items():
            for session, argument in _questions(stage):
                before = repr((_facts(session), argument))

                check(session, *argument)

                assert before == repr((_facts(session), argument))

    def test_notes_are_under_the_plugins_name(self, checks: Mapping[str, Check]) -> None:
        """All validators of a session share its notes; theirs are told apart by how the keys begin."""
        session = FakeSession(notes={"other.plugin": 1})

        for stage, check in checks.items():
            for _, argument in _questions(stage):
                check(session, *argument)

        assert 1 == session.notes.pop("other.plugin")
        assert [] == [key for key in session.notes if not self.notes_prefix or not key.startswith(self.notes_prefix)]

    def test_a_secret_is_never_told(self, checks: Mapping[str, Check], log: CapturedLog) -> None:
        """The secret of AUTH never goes into a log, a reply or the notes."""
        session = FakeSession()
        answers = [checks["auth"](session, *argument) for _, argument in _questions("auth") if "auth" in checks]

        assert SECRET not in f"{answers}{session.notes}{[str(line) for line in log.events]}"

    # many sessions, and the hub

    def test_sessions_are_told_apart(self) -> None:
        """One instance serves all sessions at once: what it knows of one is in that one's notes."""
        sessions = [FakeSession(client=Client(session_id=SessionId(f"s{n}"))) for n in range(AT_ONCE)]
        running = [gevent.spawn(self._whole_session, session) for session in sessions]

        gevent.joinall(running, raise_error=True)

        assert all(isinstance(answer, Answer) for one in running for answer in one.value or ())

    def test_others_run_while_a_check_does(self) -> None:
        """A check blocks its own session, never the hub."""
        with hub_turns() as turns:
            self._whole_session(FakeSession())

        assert turns.longest_s < HUB_BLOCKED_S

    def test_sessions_leave_nothing_behind(self) -> None:
        """No descriptor, greenlet, thread or child more than after the first session: nothing tells it of their end."""
        self._whole_session(FakeSession())

        with nothing_left():
            for _ in range(AT_ONCE):
                self._whole_session(FakeSession())

    # interrupted

    def test_a_kill_passes_through(self) -> None:
        """The edge ends a session by killing its greenlet."""
        for after_s in INTERRUPT_AFTER_S:
            assert _has_passed(killed(lambda: self._whole_session(FakeSession()), after_s))

    def test_a_timeout_of_the_caller_passes_through(self) -> None:
        """The core's deadline is a gevent.Timeout; a check compares the one that it catches with its own by `is`."""
        for after_s in INTERRUPT_AFTER_S:
            assert _has_passed(timed_out(lambda: self._whole_session(FakeSession()), after_s))

    def _checks(self) -> Mapping[str, Check]:
        found = {stage: getattr(self.parts.validators, stage, None) for stage in STAGES}
        return {stage: check for stage, check in found.items() if check is not None}

    def _answers(self, checks: Mapping[str, Check]) -> Iterator[tuple[str, object]]:
        for stage, check in checks.items():
            for session, argument in (*_questions(stage), *_odd_questions(stage)):
                yield stage, check(session, *argument)

    def _whole_session(self, session: FakeSession) -> list[Answer]:
        """All plain questions of all stages, in their order."""
        return [
            check(session, *argument) for stage, check in self._checks().items() for _, argument in _questions(stage)
        ]


Argument = list[object]
"""What a stage is asked about beside the session: one thing, or nothing."""


def _questions(stage: str) -> list[tuple[FakeSession, Argument]]:
    """What an edge may ask at a stage on an ordinary day: the session, and the argument if the stage has one."""
    envelope = make_envelope("bob@example.test", "carol@example.test")
    arguments: Mapping[str, list[Argument]] = {
        "helo": [[Greeting(verb="EHLO", name="client.example.org")], [Greeting(verb="HELO", name="[192.0.2.1]")]],
        "auth": [[Credentials(mechanism="PLAIN", authcid="alice", secret=SECRET)]],
        "mail": [[MailCommand(sender="alice@example.org", size_bytes=1000, parameters={"SIZE": "1000"})]],
        "rcpt": [[RcptCommand(address="bob@example.test")]],
        "message": [[envelope]],
        "queued": [[Handed(envelope=envelope, replies=[Reply(code=250)] * 2)]],
    }
    return [(_session_at(stage), argument) for argument in arguments.get(stage, [[]])]


def _odd_questions(stage: str) -> list[tuple[FakeSession, Argument]]:
    """What a client can bring an edge to ask."""
    envelopes = odd_envelopes("bob@example.test").values()
    arguments: Mapping[str, list[Argument]] = {
        "helo": [[Greeting(verb=verb, name=name)] for verb in ("EHLO", "HELO", "LHLO") for name in ODD_NAMES],
        "auth": [
            [Credentials(mechanism=mechanism, authcid=name, authzid=name, secret=secret)]
            for mechanism in ("PLAIN", "X-UNKNOWN")
            for name in ODD_NAMES
            for secret in ("", "\x00\udcff" * 1000)
        ],
        "mail": [
            [MailCommand(sender=sender, size_bytes=2**62, parameters={"X": ""})] for sender in ODD_ADDRESSES.values()
        ],
        "rcpt": [[RcptCommand(address=address, parameters={"NOTIFY": ""})] for address in ODD_ADDRESSES.values()],
        "message": [[envelope] for envelope in envelopes],
        "queued": [[Handed(envelope=envelope, replies=[Reply(code=450)])] for envelope in envelopes],
    }
    clients = (Client(), Client(ip="fe80::1%eth0", host="-", helo="\x00", identity="\udcff"))
    sessions = [attrs.evolve(_session_at(stage), client=client) for client in clients]
    return [(session, argument) for session in sessions for argument in arguments.get(stage, [[]])]


def _session_at(stage: str) -> FakeSession:
    """A session as it is at this stage: with a transaction open, or without."""
    if stage not in ("rcpt", "data", "message", "queued"):
        return FakeSession()
    recipients = () if stage == "rcpt" else ("bob@example.test", "carol@example.test")
    return FakeSession(sender="alice@example.org", recipients=recipients)


def _facts(session: FakeSession) -> tuple[object, ...]:
    return session.client, session.sender, session.recipients, session.is_tls


def _has_passed(struck: Struck[list[Answer]]) -> bool:
    return struck.was_in_time or struck.result is None
