"""Notices: delivery status notifications (RFC 3464, RFC 3461, RFC 6533): who gets which, and what it says. Pure."""

from mdacore.queue.notices.message import Notice
from mdacore.queue.notices.rules import SENT, Kind, NoticeRules, Report, suppressed
from mdacore.queue.notices.texts import FIELDS, MAX_TEXT_BYTES, NoticeText, default_texts

__all__ = [
    "FIELDS",
    "MAX_TEXT_BYTES",
    "SENT",
    "Kind",
    "Notice",
    "NoticeRules",
    "NoticeText",
    "Report",
    "default_texts",
    "suppressed",
]
