"""Bugs to be found: what a careless change of the protocol would be, each for the length of one test.

They reach into private parts on purpose: a mutant that no longer applies fails its test, and is then written anew.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mdacore import RcptCommand
from mdacore_edge_smtp.protocol import ServerProtocol, answers, authentication, bodies, events, messages, obeying
from mdacore_edge_smtp.protocol.dialogue import Dialogue
from mdacore_edge_smtp.protocol.framing import LineBuffer
from mdacore_edge_smtp.protocol.limits import Strikes

Mutant = Callable[[pytest.MonkeyPatch], None]


def a_lone_lf_ends_a_message(patch: pytest.MonkeyPatch) -> None:
    feed = bodies.DataReader.feed
    patch.setattr(bodies.DataReader, "feed", lambda self, data: feed(self, data.replace(b"\n.\n", b"\r\n.\r\n")))


def an_end_in_two_pieces_is_overlooked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(bodies, "_length_of_possible_end", lambda window: 0)


def only_one_dot_of_a_piece_is_taken_out(patch: pytest.MonkeyPatch) -> None:
    class Once(bytes):
        def replace(self, old, new):
            return bytes(self).replace(old, new, 1)

        def __getitem__(self, place):
            return Once(bytes(self)[place])

        def __add__(self, other):
            return Once(bytes(self) + other)

    init = bodies.DataReader.__init__

    def with_once(self, *args, **kwargs):
        init(self, *args, **kwargs)
        self._held = Once(self._held)

    patch.setattr(bodies.DataReader, "__init__", with_once)


def a_crlf_between_two_chunks_is_two_bare_ones(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(bodies.ChunkReader, "feed", lambda self, data: self._checked(data))


def a_message_that_is_too_big_is_left_early(patch: pytest.MonkeyPatch) -> None:
    feed = bodies.DataReader.feed

    def impatient(self, data):
        octets = feed(self, data)
        self.is_ended = self.is_ended or self.is_too_big
        return octets

    patch.setattr(bodies.DataReader, "feed", impatient)


def a_refused_chunk_is_run_as_commands(patch: pytest.MonkeyPatch) -> None:
    init = messages._WasteTurn.__init__

    def hasty(self, *args, **kwargs):
        init(self, *args, **kwargs)
        self._left_bytes = 0

    patch.setattr(messages._WasteTurn, "__init__", hasty)


def chunks_go_on_after_one_was_refused(patch: pytest.MonkeyPatch) -> None:
    def forgetful(dialogue, reply):
        dialogue.turn = messages._WasteTurn(dialogue.chunk, reply)

    patch.setattr(answers, "spoil_chunks", forgetful)


def what_is_behind_starttls_is_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(obeying._OBEY, events.TlsCommand, lambda dialogue, command: dialogue.ask(command))


def tls_makes_nothing_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Dialogue, "forget", lambda self: self.end_transaction())


def a_client_may_speak_ahead(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Dialogue, "is_ahead", lambda self: False)


def reset_keeps_the_recipients(patch: pytest.MonkeyPatch) -> None:
    end_transaction = Dialogue.end_transaction

    def keeping(self):
        count = self.rcpt_count
        end_transaction(self)
        self.rcpt_count = count

    patch.setattr(Dialogue, "end_transaction", keeping)


def a_refused_recipient_is_added(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(answers.REFUSALS, RcptCommand, answers._add_rcpt)


def lmtp_answers_a_message_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Dialogue, "send_to_each", Dialogue.send)


def one_more_error_is_forgiven(patch: pytest.MonkeyPatch) -> None:
    note_error = Strikes.note_error
    patch.setattr(Strikes, "note_error", lambda self: note_error(self) and self.error_count > self._limits.max_errors)


def a_refused_message_forgives_errors(patch: pytest.MonkeyPatch) -> None:
    def kindly(dialogue, question, reply):
        answers._refuse_message(dialogue, question, reply)
        dialogue.strikes.forgive()

    patch.setitem(answers.REFUSALS, events.MessageEnded, kindly)


def the_rest_of_a_bad_line_is_the_next_command(patch: pytest.MonkeyPatch) -> None:
    def not_at_all(self):
        self._is_skipping = False
        return True

    patch.setattr(LineBuffer, "_skip", not_at_all)


def a_cancelled_exchange_goes_on(patch: pytest.MonkeyPatch) -> None:
    def refuse_only(dialogue, reply):
        dialogue.refuse(reply)

    patch.setattr(authentication, "_fail", refuse_only)


def a_failed_login_is_never_one_too_many(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(answers.REFUSALS, events.AuthAttempt, answers._refuse)


def a_closed_connection_obeys_on(patch: pytest.MonkeyPatch) -> None:
    close = Dialogue.close

    def half(self, reply=None, *, reason):
        rest = self.input.take()
        close(self, reply, reason=reason)
        if self.end_reason == "quit" and rest:
            self.turn = None
            self.input.append(rest)

    patch.setattr(Dialogue, "close", half)


def octets_are_dropped_between_pieces(patch: pytest.MonkeyPatch) -> None:
    append = LineBuffer.append

    def forgetful(self, data):
        if self._buffer.endswith(b"\r"):
            self._buffer = self._buffer[:-1]
        append(self, data)

    patch.setattr(LineBuffer, "append", forgetful)


def an_answer_in_the_wrong_moment_passes(patch: pytest.MonkeyPatch) -> None:
    answer = ServerProtocol.answer

    def lax(self, reply):
        if self._dialogue.question is not None:
            answer(self, reply)

    patch.setattr(ServerProtocol, "answer", lax)


def empty_chunks_are_free(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(messages._ChunkTurn, "_end_of_one", _end_of_one_for_free)


def _end_of_one_for_free(self, dialogue):
    if self._reader.is_too_big:
        return messages._spoil(dialogue, messages.replies.MESSAGE_TOO_BIG)
    dialogue.turn = None
    dialogue.send(messages.replies.chunk_received(self._chunk.size_bytes))
    return None


def a_connection_that_has_brought_all_looks_good(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(obeying, "_is_probe_in_vain", lambda dialogue: False)


def recipients_over_the_limit_are_refused_for_ever(patch: pytest.MonkeyPatch) -> None:
    obey = obeying._obey_rcpt

    def patient(dialogue, command):
        dialogue.overshoot_count = 0
        return obey(dialogue, command)

    patch.setitem(obeying._OBEY, RcptCommand, patient)


MUTANTS: tuple[Mutant, ...] = (
    a_lone_lf_ends_a_message,
    an_end_in_two_pieces_is_overlooked,
    only_one_dot_of_a_piece_is_taken_out,
    a_crlf_between_two_chunks_is_two_bare_ones,
    a_message_that_is_too_big_is_left_early,
    a_refused_chunk_is_run_as_commands,
    chunks_go_on_after_one_was_refused,
    what_is_behind_starttls_is_kept,
    tls_makes_nothing_forgotten,
    a_client_may_speak_ahead,
    reset_keeps_the_recipients,
    a_refused_recipient_is_added,
    lmtp_answers_a_message_once,
    one_more_error_is_forgiven,
    a_refused_message_forgives_errors,
    the_rest_of_a_bad_line_is_the_next_command,
    a_cancelled_exchange_goes_on,
    a_failed_login_is_never_one_too_many,
    a_closed_connection_obeys_on,
    octets_are_dropped_between_pieces,
    an_answer_in_the_wrong_moment_passes,
    empty_chunks_are_free,
    a_connection_that_has_brought_all_looks_good,
    recipients_over_the_limit_are_refused_for_ever,
)
