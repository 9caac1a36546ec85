"""A second, slow SMTP server, written to be compared with the real one: see model.py.

It shares no code with `mdacore_edge_smtp.protocol`, only the core's words. It sees the whole conversation at once, so
it needs no states for what is half there, and reads as the RFCs do: take a line, do what it says, take the next.
Invariant: where the two differ, one of them is wrong.
"""

from .model import expected
from .scenario import KINDS, OFFERS, Offered, Rules, Scenario, pieces_of
from .transcript import Asked, Message, Said, Transcript

__all__ = [
    "KINDS",
    "OFFERS",
    "Asked",
    "Message",
    "Offered",
    "Rules",
    "Said",
    "Scenario",
    "Transcript",
    "expected",
    "pieces_of",
]
