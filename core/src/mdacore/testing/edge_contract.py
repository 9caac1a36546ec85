"""The contract suite for edges: a class of tests to inherit. Needs pytest.

    class TestMyEdge(EdgeContract):
        def make_edge(self, context, addresses):
            return MyEdge(MyConfig(listen=addresses, domains=("example.test",)), context)

        def connect(self, address):
            return MyClient(address)

The client may be written with blocking code (smtplib, http.client): the suite runs it in threads. Each test is one rule
of `mdacore.contracts.edge`; what validators are asked is in `edge_session_contract`, which comes along.

Not tested, because only the protocol knows how: what a client does wrong, and how the edge says 421. That a StartError
names the component is the core's doing.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import gevent
import pytest

from mdacore.contracts import Context, Edge, EdgeContext
from mdacore.testing.component_contract import NewContext
from mdacore.testing.edge_driver import MESSAGE, RCPTS, SENDER, EdgeClient, answers_of, are_success, in_thread
from mdacore.testing.edge_session_contract import EdgeSessionContract
from mdacore.testing.handoff import RecordingHandoff
from mdacore.testing.probes import SOON_S, nothing_left
from mdacore.words import FileBody, Reply

LARGE_MESSAGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 4 + b"\r\n" + b"x" * 70 + b"\r\n" * 200_000
"""More than the 256 KB up to which bodies are held in memory."""
DEFERRED = Reply.parse("451 4.3.0 Not now")
REFUSED = Reply.parse("554 5.6.0 Not like this")
FULL = Reply.parse("452 4.3.1 Insufficient system storage")
A_WHILE_S = 0.3
"""How long to look whether something happens that must not."""
SESSIONS = 8
"""How many clients the suite has at the same time."""


class EdgeContract(EdgeSessionContract):
    """What every edge keeps that listens for connections. Inherit, and give `make_edge` and `connect`."""

    # bind and start

    def test_bound_and_not_started_it_accepts_nothing(self, context: Context, handoff: RecordingHandoff) -> None:
        """Bind takes the ports, start accepts: what comes in between waits."""
        edge = self.make_edge(cast(EdgeContext, context), (self.address,))
        edge.bind()
        sending = gevent.spawn(self.send, edge)
        sending.join(A_WHILE_S)
        early = list(handoff.messages)
        edge.start()
        sending.join()
        edge.stop()

        assert [] == early
        assert are_success(sending.get())

    def test_an_address_that_is_taken_is_an_error_and_the_others_are_free_again(
        self, edge: Edge, new_context: NewContext
    ) -> None:
        """Bind raises OSError if one is taken; those bound before are closed again by then."""
        (taken,) = edge.addresses
        second = self.make_edge(cast(EdgeContext, new_context()), (self.address, taken))

        with nothing_left(), pytest.raises(OSError):  # noqa: PT011 - which one is the system's affair
            second.bind()

    def test_stop_releases_what_was_bound_and_never_started(self, new_context: NewContext) -> None:
        """The core stops an edge that was bound, also when something else could not start."""
        self._live_once(new_context())

        with nothing_left():
            edge = self.make_edge(cast(EdgeContext, new_context()), (self.address,))
            edge.bind()
            edge.stop()

    def test_its_addresses_are_those_that_it_is_bound_to(self, new_context: NewContext) -> None:
        """As a person would write them, and as another edge can be told: with the port that the system chose."""
        first = self.make_edge(cast(EdgeContext, new_context()), (self.address, self.address))
        self.start(first)
        addresses = tuple(first.addresses)
        answers = [self.send(first, address=address) for address in addresses]
        first.stop()
        again = self.make_edge(cast(EdgeContext, new_context()), addresses)
        self.start(again)
        addresses_again = tuple(again.addresses)
        again.stop()

        assert 2 == len(set(addresses))
        assert all(map(are_success, answers))
        assert addresses == addresses_again

    # one message, one handoff

    def test_a_message_is_handed_off_once_as_it_was_sent(self, edge: Edge, handoff: RecordingHandoff) -> None:
        """Sender, recipients in their order, and under the edge's own fields the octets as they came."""
        assert are_success(self.send(edge))

        (envelope,), (message,) = handoff.envelopes, handoff.messages
        assert (SENDER, list(RCPTS)) == (envelope.sender, [rcpt.address for rcpt in envelope.recipients])
        assert MESSAGE == message[-len(MESSAGE) :]
        assert MESSAGE == handoff.bodies[0]

    def test_the_null_sender_is_handed_off_as_nothing(self, edge: Edge, handoff: RecordingHandoff) -> None:
        """``""`` is the null sender (RFC 5321 §4.5.5)."""
        assert are_success(self.send(edge, sender=""))

        assert [""] == [envelope.sender for envelope in handoff.envelopes]

    def test_the_envelope_tells_where_it_came_in_and_when(
        self, edge: Edge, handoff: RecordingHandoff, context: Context
    ) -> None:
        """The edge's name, the session's, and the time by the context's clock."""
        began_at = context.clock.now()
        self.send(edge)

        (envelope,) = handoff.envelopes
        assert began_at <= envelope.received_at <= context.clock.now()
        assert self.instance.rpartition(".")[2] == envelope.client.edge
        assert envelope.client.session_id

    def test_a_connection_may_send_more_than_one_message(self, client: EdgeClient, handoff: RecordingHandoff) -> None:
        """One handoff for each, and nothing of one in the next."""
        messages = [MESSAGE + b"%d\r\n" % number for number in range(3)]

        assert all(are_success(in_thread(client.send, SENDER, RCPTS, message)) for message in messages)

        assert messages == handoff.bodies

    def test_many_sessions_at_once_keep_apart(self, edge: Edge, handoff: RecordingHandoff) -> None:
        """A session never sees another one's message, and each has a name of its own."""
        messages = {f"s{n}@example.org": MESSAGE + b"%d\r\n" % n for n in range(SESSIONS)}

        sending = [gevent.spawn(self.send, edge, sender=sender, message=messages[sender]) for sender in messages]
        gevent.joinall(sending, raise_error=True)

        senders = [envelope.sender for envelope in handoff.envelopes]
        assert SESSIONS == len(senders)
        assert messages == dict(zip(senders, handoff.bodies, strict=True))
        assert SESSIONS == len({envelope.client.session_id for envelope in handoff.envelopes})

    def test_sessions_leave_nothing_behind(self, edge: Edge) -> None:
        """No descriptor, greenlet or thread more than before the client came."""
        self.send(edge)

        with nothing_left():
            for _ in range(SESSIONS):
                self.send(edge)

    # who answers for what

    def test_success_is_answered_only_after_accept_has_returned(self, edge: Edge, handoff: RecordingHandoff) -> None:
        """Until then the message is nowhere: whoever says 250 earlier loses it in a crash."""
        handoff.is_held = True
        sending = gevent.spawn(self.send, edge)
        handoff.arrived.wait()
        sending.join(A_WHILE_S)
        was_answered = sending.ready()
        handoff.go_on.set()
        sending.join()

        assert not was_answered
        assert are_success(sending.get())

    @pytest.mark.parametrize("reply", [DEFERRED, REFUSED])
    def test_a_refusal_by_the_handoff_is_the_answer_and_the_connection_goes_on(
        self, client: EdgeClient, handoff: RecordingHandoff, reply: Reply
    ) -> None:
        """Success is only ever a reply that `accept` gave; 4yz and 5yz are passed on as they are."""
        handoff.script = [reply, Reply(code=250)]

        refused = in_thread(client.send, SENDER, RCPTS, MESSAGE)
        accepted = in_thread(client.send, SENDER, RCPTS, MESSAGE)

        assert {reply.code} == {given.code for given in refused}
        assert are_success(accepted)

    @pytest.mark.parametrize("error", [gevent.GreenletExit(), gevent.Timeout(), RuntimeError("a fault of the queue")])
    def test_a_handoff_that_raises_is_never_answered_with_success(
        self, edge: Edge, handoff: RecordingHandoff, error: BaseException
    ) -> None:
        """Whether it is stored is not known: the connection is closed, or 4yz said; and the next client is served."""
        handoff.script = [error, Reply(code=250)]

        first = self.send(edge)
        second = self.send(edge)

        assert all(reply.is_transient for reply in first)
        assert are_success(second)

    def test_what_cannot_be_stored_now_is_refused_before_it_is_sent(
        self, client: EdgeClient, handoff: RecordingHandoff
    ) -> None:
        """`Handoff.refusal` is asked when a message begins; nothing is handed off then, and the connection goes on."""
        handoff.refuses = FULL
        refused = in_thread(client.send, SENDER, RCPTS, MESSAGE)
        handoff.refuses = None
        accepted = in_thread(client.send, SENDER, RCPTS, MESSAGE)

        assert {FULL.code} == {reply.code for reply in refused}
        assert are_success(accepted)
        assert 1 == len(handoff.messages)
        assert 2 == len(handoff.announced_bytes)

    # large bodies

    def test_a_large_body_is_a_file_in_the_spool_folder_until_accept_has_returned(
        self, edge: Edge, handoff: RecordingHandoff, tmp_path: Path
    ) -> None:
        """Past 256 KB; the edge removes its file afterwards, since the storage has a link of its own by then."""
        handoff.spool_path = tmp_path / "spool"
        handoff.spool_path.mkdir()

        assert are_success(self.send(edge, message=LARGE_MESSAGE))

        (envelope,) = handoff.envelopes
        assert isinstance(envelope.content.body, FileBody)
        assert handoff.spool_path == envelope.content.body.path.parent
        assert LARGE_MESSAGE == handoff.messages[0][-len(LARGE_MESSAGE) :]
        assert [] == list(handoff.spool_path.iterdir())

    def test_a_spooled_body_is_removed_after_a_refusal_too(
        self, edge: Edge, handoff: RecordingHandoff, tmp_path: Path
    ) -> None:
        """Removed once `accept` has returned or raised."""
        handoff.spool_path = tmp_path / "spool"
        handoff.spool_path.mkdir()
        handoff.script = [REFUSED, gevent.GreenletExit()]

        for _ in range(2):
            assert not are_success(self.send(edge, message=LARGE_MESSAGE))

        assert 2 == len(handoff.messages)
        assert [] == list(handoff.spool_path.iterdir())

    def test_without_a_spool_folder_a_large_body_is_held_in_memory(self, edge: Edge, handoff: RecordingHandoff) -> None:
        """`spool_path` None: there is no file that could be kept."""
        assert are_success(self.send(edge, message=LARGE_MESSAGE))

        (envelope,) = handoff.envelopes
        assert not isinstance(envelope.content.body, FileBody)
        assert LARGE_MESSAGE == handoff.bodies[0]

    # the end

    def test_drain_stops_accepting(self, edge: Edge, handoff: RecordingHandoff) -> None:
        """A client that comes now is turned away."""
        (address,) = edge.addresses
        self.send(edge)

        edge.drain(SOON_S)

        assert not are_success(self.send(edge, address=address))
        assert 1 == len(handoff.messages)

    def test_drain_ends_a_session_at_its_next_command(
        self, edge: Edge, client: EdgeClient, handoff: RecordingHandoff
    ) -> None:
        """421, or whatever the protocol has for it; the session takes no other message."""
        in_thread(client.send, SENDER, RCPTS, MESSAGE)
        draining = gevent.spawn(edge.drain, SOON_S * 2)
        gevent.sleep(0)

        late = answers_of(client)
        in_thread(client.close)

        assert all(reply.is_transient for reply in late)
        assert 1 == len(handoff.messages)
        assert draining.get() is True

    def test_drain_finishes_a_message_that_has_arrived(self, edge: Edge, handoff: RecordingHandoff) -> None:
        """A message whose end has arrived is still finished and answered; then nothing is left."""
        handoff.is_held = True
        sending = gevent.spawn(self.send, edge)
        handoff.arrived.wait()
        draining = gevent.spawn(edge.drain, SOON_S * 5)
        draining.join(A_WHILE_S)
        was_drained = draining.ready()
        handoff.go_on.set()

        assert not was_drained
        assert are_success(sending.get())
        assert draining.get() is True

    def test_drain_takes_no_longer_than_its_grace(self, edge: Edge, handoff: RecordingHandoff) -> None:
        """And says False if something was left."""
        handoff.is_held = True
        sending = gevent.spawn(self.send, edge)
        handoff.arrived.wait()

        with gevent.Timeout(SOON_S, AssertionError(f"drain(0.1) took more than {SOON_S} s")):
            is_done = edge.drain(0.1)

        handoff.go_on.set()
        sending.join()
        assert is_done is False

    def test_stop_cuts_short_a_message_that_is_being_handed_off(self, edge: Edge, handoff: RecordingHandoff) -> None:
        """Whatever the client is told then, it is not success."""
        handoff.is_held = True
        sending = gevent.spawn(self.send, edge)
        handoff.arrived.wait()

        with gevent.Timeout(SOON_S * 2, AssertionError(f"stop() took more than {SOON_S * 2} s")):
            edge.stop()

        sending.join()
        assert not are_success(sending.get())

    def test_stop_ends_idle_sessions(self, new_context: NewContext) -> None:
        """An open connection is no reason to stay, and nothing of it is."""
        self._live_once(new_context())

        with nothing_left():
            edge = self.make_edge(cast(EdgeContext, new_context()), (self.address,))
            self.start(edge)
            client = in_thread(self.connect, edge.addresses[0])
            edge.stop()
            in_thread(client.close)
