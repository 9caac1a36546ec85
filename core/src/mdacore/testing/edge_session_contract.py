"""The contract suite for what an edge lets validators see and say. `EdgeContract` inherits it. Needs pytest.

Each test is one rule of `mdacore.contracts.session`. Not tested: `auth`, `reset` and `tls`, which only some protocols
have; that an answer is legal, since the chain that an edge gets sees to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import attrs
import pytest

from mdacore.contracts import (
    Chain,
    Edge,
    EdgeContext,
    Greeting,
    Handed,
    MailCommand,
    RcptCommand,
    Session,
    SessionCheck,
)
from mdacore.testing.component_contract import NewContext
from mdacore.testing.edge_driver import MESSAGE, RCPTS, SENDER, EdgeDriver, answers_of, are_success, in_thread
from mdacore.testing.handoff import RecordingHandoff
from mdacore.words import Envelope, Reply

REFUSED = Reply.parse("550 5.7.1 We do not like that")
DEFERRED = Reply.parse("450 4.7.1 Not now")
CLOSING = Reply.parse("421 4.7.0 Go away")
PRAISE = Reply.parse("250 2.0.0 Well done")
STAGES = ("connect", "helo", "mail", "rcpt", "data", "message", "queued")
ARGUMENTS = {"helo": Greeting, "mail": MailCommand, "rcpt": RcptCommand, "message": Envelope, "queued": Handed}

Serve = Callable[[Chain], tuple[Edge, RecordingHandoff]]


@attrs.define
class Recorder:
    """Validators that note what they are asked and answer what they are told, by stage.

    Attributes:
        asked: each question: the stage, the argument or None, and what the session showed.
    """

    answers: dict[str, Reply] = attrs.field(factory=dict)
    asked: list[tuple[str, object, dict[str, Any]]] = attrs.field(factory=list)

    def chain(self, *stages: str) -> Chain:
        """A chain that asks this at these stages, by default at all."""
        return Chain(**{stage: (self.check(stage),) for stage in stages or STAGES})

    def check(self, stage: str) -> Any:
        def ask(session: Session, argument: object = None) -> Reply | None:
            seen = {name: getattr(session, name) for name in ("client", "sender", "is_tls", "notes")}
            self.asked.append((stage, argument, {**seen, "recipients": list(session.recipients)}))
            return self.answers.get(stage)

        return ask

    def sessions_at(self, stage: str) -> list[dict[str, Any]]:
        return [session for name, _, session in self.asked if name == stage]


class EdgeSessionContract(EdgeDriver):
    """What every edge keeps toward validators."""

    stages: Sequence[str] = STAGES
    """The stages that the edge's protocol has, in their order."""

    @pytest.fixture
    def serve(self, new_context: NewContext) -> Iterator[Serve]:
        """Starts edges with validators; stops them at the end."""
        edges: list[Edge] = []

        def start(validators: Chain) -> tuple[Edge, RecordingHandoff]:
            context = attrs.evolve(cast(EdgeContext, new_context()), validators=validators)
            edges.append(self.make_edge(context, (self.address,)))
            self.start(edges[-1])
            return edges[-1], cast(RecordingHandoff, context.handoff)

        yield start
        for edge in edges:
            edge.stop()

    def test_validators_are_asked_at_each_stage_in_the_order_of_a_session(self, serve: Serve) -> None:
        """With the command, the envelope or the replies; at RCPT for each recipient."""
        recorder = Recorder()
        edge, _ = serve(recorder.chain())

        assert are_success(self.send(edge))

        assert list(self.stages) == list(dict.fromkeys(stage for stage, _, _ in recorder.asked))
        assert all(isinstance(argument, ARGUMENTS.get(stage, type(None))) for stage, argument, _ in recorder.asked)
        rcpts = [argument.address for _, argument, _ in recorder.asked if isinstance(argument, RcptCommand)]
        assert [*RCPTS] == rcpts or "rcpt" not in self.stages

    @pytest.mark.parametrize("stage", STAGES[:-1])
    @pytest.mark.parametrize("reply", [REFUSED, DEFERRED])
    def test_an_objection_is_the_answer_and_nothing_is_handed_off(self, serve: Serve, stage: str, reply: Reply) -> None:
        """At whatever stage, before the message is handed off."""
        edge, handoff = serve(Recorder({stage: reply}).chain(stage))

        answers = self.send(edge)

        assert stage not in self.stages or ([], False) == (handoff.messages, are_success(answers))
        assert {answer.code for answer in answers} <= {reply.code, 250}

    def test_all_checks_are_asked_and_the_first_objection_wins(self, serve: Serve) -> None:
        """A later check may have to know, even when an earlier one has said no."""
        first, second, third = Recorder({"mail": DEFERRED}), Recorder({"mail": REFUSED}), Recorder()
        edge, _ = serve(Chain(mail=(first.check("mail"), second.check("mail"), third.check("mail"))))

        answers = self.send(edge)

        assert {DEFERRED.code} == {answer.code for answer in answers}
        assert [1, 1, 1] == [len(one.asked) for one in (first, second, third)]

    @pytest.mark.parametrize("stage", STAGES[:-1])
    def test_a_success_by_a_validator_decides_nothing(self, serve: Serve, stage: str) -> None:
        """A 2yz only replaces the text: what comes after it is done all the same, and the handoff answers."""
        edge, handoff = serve(Recorder({stage: PRAISE}).chain(stage))
        handoff.script = [REFUSED]

        answers = self.send(edge)

        assert {REFUSED.code} == {answer.code for answer in answers}
        assert 1 == len(handoff.messages)

    def test_an_objection_after_the_handoff_comes_too_late(self, serve: Serve) -> None:
        """The message is stored: a client that is refused now would send it again."""
        recorder = Recorder({"queued": REFUSED})
        edge, handoff = serve(recorder.chain("queued"))

        assert are_success(self.send(edge))

        assert 1 == len(handoff.messages) == len(recorder.asked)

    def test_a_421_closes_the_connection(self, serve: Serve) -> None:
        """Said first, where the protocol has something to say it with."""
        recorder = Recorder({"mail": CLOSING})
        edge, handoff = serve(recorder.chain("mail"))
        client = in_thread(self.connect, edge.addresses[0])

        first, second = answers_of(client), answers_of(client)

        in_thread(client.close)
        assert {reply.code for reply in first} <= {CLOSING.code}
        assert ([], [], 1) == (list(second), handoff.messages, len(recorder.asked))

    def test_a_foreign_domain_is_refused_before_any_validator_is_asked(self, serve: Serve) -> None:
        """A validator says who may get mail here, never that we are an open relay."""
        recorder = Recorder({"rcpt": PRAISE})
        edge, handoff = serve(recorder.chain("rcpt"))
        client = in_thread(self.connect, edge.addresses[0])

        answers = in_thread(client.send, SENDER, ["bob@elsewhere.test"], MESSAGE)

        in_thread(client.close)
        assert ([], []) == (handoff.messages, recorder.asked)
        assert [reply for reply in answers if reply.is_permanent]

    def test_a_session_shows_what_is_known_so_far(self, serve: Serve) -> None:
        """The sender while a transaction is open and None outside, and the recipients accepted so far."""
        recorder = Recorder()
        edge, _ = serve(recorder.chain())

        self.send(edge)

        assert all(session["sender"] is None for session in recorder.sessions_at("connect"))
        assert [SENDER] == [session["sender"] for session in recorder.sessions_at("message")]
        assert [list(RCPTS)] == [session["recipients"] for session in recorder.sessions_at("message")]
        assert all(session["client"].session_id for _, _, session in recorder.asked)

    def test_a_refused_recipient_is_not_among_them(self, serve: Serve) -> None:
        """`recipients` are those accepted; the refused one gets nothing."""
        recorder = Recorder()

        def refuse_first(_: Session, command: RcptCommand) -> Reply | None:
            return REFUSED if command.address == RCPTS[0] else None

        edge, _ = serve(attrs.evolve(recorder.chain("message"), rcpt=(refuse_first, recorder.check("rcpt"))))
        self.send(edge)

        assert all(RCPTS[0] not in session["recipients"] for _, _, session in recorder.asked)

    def test_notes_last_as_long_as_the_session(self, serve: Serve) -> None:
        """One dict for all stages of a session, empty at its beginning."""
        recorder = Recorder()
        first_seen: list[dict[str, object]] = []

        def leave_note(session: Session) -> None:
            first_seen.append(dict(session.notes))
            session.notes["test.note"] = session.client.session_id

        edge, _ = serve(attrs.evolve(recorder.chain("message"), connect=(cast(SessionCheck, leave_note),)))
        self.send(edge)
        self.send(edge)

        assert [{}, {}] == first_seen
        seen = recorder.sessions_at("message")
        assert [{"test.note": session["client"].session_id} for session in seen] == [one["notes"] for one in seen]
