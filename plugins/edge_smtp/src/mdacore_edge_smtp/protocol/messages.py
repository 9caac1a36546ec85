"""The turns of messages: octets after DATA, chunks after BDAT, and what is only read to be thrown away.

Invariant: what was declared or begun as a message is never taken for commands, whether it is wanted or not.
"""

from __future__ import annotations

from mdacore import Reply
from mdacore_edge_smtp.protocol import events, replies
from mdacore_edge_smtp.protocol.bodies import Body, Chunk, ChunkReader, DataReader
from mdacore_edge_smtp.protocol.dialogue import Dialogue


def begin_data(dialogue: Dialogue) -> None:
    """354 has been said: what comes now is the message."""
    limits = dialogue.limits
    dialogue.turn = _DataTurn(DataReader(limits.max_message_size_bytes, normalizes=limits.normalizes))
    dialogue.is_message_open = True


def begin_chunks(dialogue: Dialogue) -> None:
    """The first chunk is welcome."""
    limits = dialogue.limits
    dialogue.body = ChunkReader(limits.max_message_size_bytes, normalizes=limits.normalizes)
    dialogue.is_message_open = True
    dialogue.state = dialogue.order.chunks
    dialogue.turn = _ChunkTurn(dialogue.body, dialogue.chunk)


def spoil_chunks(dialogue: Dialogue, reply: Reply) -> None:
    """The first chunk is refused: its octets are thrown away, and so is what comes before RSET."""
    dialogue.turn = _WasteTurn(dialogue.chunk, reply)
    dialogue.state = dialogue.order.spoilt


def obey_chunk(dialogue: Dialogue, chunk: Chunk) -> events.Event | None:
    """Do as BDAT says (RFC 3030 §2), or read its octets all the same and refuse; None = nothing has come of it yet."""
    if _is_beyond_all_limits(dialogue, chunk):
        return _cut(dialogue, replies.CHUNK_FAR_TOO_BIG)
    refusal = dialogue.state.chunk_refusal or dialogue.granted.refusal_of(b"BDAT")
    if refusal is not None:
        dialogue.turn = _WasteTurn(chunk, refusal, is_error=True)
    elif dialogue.body is not None:
        dialogue.turn = _ChunkTurn(dialogue.body, chunk)
    else:
        dialogue.chunk = chunk
        return dialogue.ask(events.FIRST_CHUNK)
    return None


def break_off_chunks(dialogue: Dialogue) -> events.MessageRefused:
    """DATA between the chunks of a message: nobody can say what the client means (RFC 3030 §2)."""
    dialogue.end_transaction()
    dialogue.refuse(replies.IN_CHUNKS)
    return events.MessageRefused(replies.IN_CHUNKS)


def _is_beyond_all_limits(dialogue: Dialogue, chunk: Chunk) -> bool:
    so_far = 0 if dialogue.body is None else dialogue.body.size_bytes
    limits = dialogue.limits
    return so_far + chunk.size_bytes > limits.max_message_size_bytes + limits.max_excess_bytes


class _DataTurn:
    """Octets up to CRLF.CRLF."""

    __slots__ = ("_reader",)

    def __init__(self, reader: DataReader) -> None:
        self._reader = reader

    def __call__(self, dialogue: Dialogue) -> events.Event | events.Pause | None:
        reader = self._reader
        if not reader.is_ended:
            data = dialogue.input.take()
            if not data:
                return events.NEED_DATA
            octets = reader.feed(data)
            if reader.excess_bytes > dialogue.limits.max_excess_bytes:
                return _cut(dialogue, replies.FAR_TOO_BIG)
            if octets:
                return events.MessageOctets(octets)
            if not reader.is_ended:
                return events.NEED_DATA
        if reader.rest:
            dialogue.input.append(reader.rest)
        return _end_message(dialogue, reader)


class _ChunkTurn:
    """Octets up to the number that BDAT declared."""

    __slots__ = ("_chunk", "_left_bytes", "_reader")

    def __init__(self, reader: ChunkReader, chunk: Chunk) -> None:
        self._reader = reader
        self._chunk = chunk
        self._left_bytes = chunk.size_bytes

    def __call__(self, dialogue: Dialogue) -> events.Event | events.Pause | None:
        if self._left_bytes:
            data = dialogue.input.take_some(self._left_bytes)
            if not data:
                return events.NEED_DATA
            self._left_bytes -= len(data)
            octets = self._reader.feed(data)
            if octets or self._left_bytes:
                return events.MessageOctets(octets) if octets else None
        if not self._chunk.is_last:
            return self._end_of_one(dialogue)
        octets = self._reader.finish()
        return events.MessageOctets(octets) if octets else _end_message(dialogue, self._reader)

    def _end_of_one(self, dialogue: Dialogue) -> events.MessageRefused | None:
        if self._reader.is_too_big:
            return _spoil(dialogue, replies.MESSAGE_TOO_BIG)
        if not self._chunk.size_bytes and dialogue.strikes.note_idle():
            dialogue.cut_off()
            return events.MessageRefused(replies.TOO_MANY_ERRORS)
        dialogue.turn = None
        dialogue.send(replies.chunk_received(self._chunk.size_bytes))
        return None


class _WasteTurn:
    """Octets that nobody wants, up to the number that BDAT declared; then the reply."""

    __slots__ = ("_chunk", "_is_error", "_left_bytes", "_reply")

    def __init__(self, chunk: Chunk, reply: Reply, *, is_error: bool = False) -> None:
        self._chunk = chunk
        self._left_bytes = chunk.size_bytes
        self._reply = reply
        self._is_error = is_error

    def __call__(self, dialogue: Dialogue) -> events.Pause | None:
        if self._left_bytes:
            data = dialogue.input.take_some(self._left_bytes)
            self._left_bytes -= len(data)
            return None if data else events.NEED_DATA
        dialogue.turn = None
        if self._is_error and dialogue.strikes.note_error():
            dialogue.cut_off()
        elif self._chunk.is_last and dialogue.state is dialogue.order.spoilt:
            dialogue.send_to_each(self._reply)
            dialogue.end_transaction()
        else:
            dialogue.send(self._reply)
        return None


def _end_message(dialogue: Dialogue, body: Body) -> events.Event:
    if body.is_too_big:
        return _refuse_message(dialogue, replies.MESSAGE_TOO_BIG)
    if body.has_bare_line_end:
        return _refuse_message(dialogue, replies.BARE_IN_MESSAGE)
    return dialogue.ask(events.MESSAGE_ENDED)


def _refuse_message(dialogue: Dialogue, reply: Reply) -> events.MessageRefused:
    dialogue.strikes.note_error()
    dialogue.send_to_each(reply)
    dialogue.end_transaction()
    return events.MessageRefused(reply)


def _spoil(dialogue: Dialogue, reply: Reply) -> events.MessageRefused:
    # The client may have sent further chunks already, and they must not pass for a message.
    dialogue.strikes.note_error()
    dialogue.send(reply)
    dialogue.turn = None
    dialogue.body = None
    dialogue.is_message_open = False
    dialogue.state = dialogue.order.spoilt
    return events.MessageRefused(reply)


def _cut(dialogue: Dialogue, reply: Reply) -> events.MessageRefused | None:
    had_message = dialogue.is_message_open
    dialogue.close(reply, reason="message far too big")
    return events.MessageRefused(reply) if had_message else None
