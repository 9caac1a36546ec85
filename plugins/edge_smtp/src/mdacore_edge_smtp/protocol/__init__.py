"""SMTP without I/O: octets in, events out; answers in, octets out. No sockets, no clock, no logging in here."""

from mdacore_edge_smtp.protocol.commands import QUIT
from mdacore_edge_smtp.protocol.events import (
    CLOSED,
    NEED_DATA,
    Connected,
    DataCommand,
    Event,
    MessageEnded,
    MessageOctets,
    MessageRefused,
    Pause,
    Question,
    ResetCommand,
)
from mdacore_edge_smtp.protocol.extensions import SMTP_EXTENSIONS, Extension, Offer, offer
from mdacore_edge_smtp.protocol.grammar import POSTMASTER, is_domain
from mdacore_edge_smtp.protocol.limits import Limits
from mdacore_edge_smtp.protocol.machine import Misuse, ServerProtocol
from mdacore_edge_smtp.protocol.replies import encode

__all__ = [
    "CLOSED",
    "NEED_DATA",
    "POSTMASTER",
    "QUIT",
    "SMTP_EXTENSIONS",
    "Connected",
    "DataCommand",
    "Event",
    "Extension",
    "Limits",
    "MessageEnded",
    "MessageOctets",
    "MessageRefused",
    "Misuse",
    "Offer",
    "Pause",
    "Question",
    "ResetCommand",
    "ServerProtocol",
    "encode",
    "is_domain",
    "offer",
]
