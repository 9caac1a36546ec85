"""The names of this edge's log events. Each line carries ``session_id`` and ``instance``."""

EDGE_OPENED = "edge.opened"
"""info: addresses. No session_id."""

EDGE_SESSION_OPENED = "edge.session_opened"
"""debug: ip."""

EDGE_SESSION_LIMIT_REACHED = "edge.session_limit_reached"
"""warning: max_sessions. Further connections get 421; said once until there is room again; no session_id."""

EDGE_SESSION_CLOSED = "edge.session_closed"
"""info: ip, helo, reason, accepted_count, rejected_count, duration_s."""

EDGE_HELO_REJECTED = "edge.helo_rejected"
"""info: helo, reply."""

EDGE_MAIL_REJECTED = "edge.mail_rejected"
"""info: sender, reply."""

EDGE_RCPT_REJECTED = "edge.rcpt_rejected"
"""info: sender, rcpt, reply."""

EDGE_MESSAGE_REJECTED = "edge.message_rejected"
"""info: transaction_id, sender, rcpt_count, reply. By the edge or a validator; the queue logs what it refuses."""

EDGE_SPOOL_FAILED = "edge.spool_failed"
"""error: transaction_id, error, reply. The body could not be written to the spool folder."""

EDGE_REPLY_UNCONFIRMED = "edge.reply_unconfirmed"
"""warning: reply. The message is ours, but the client went away before it showed that it had the reply; its retry is a
legal duplicate."""
