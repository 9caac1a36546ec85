"""The names of this edge's log events. Each line carries ``session_id`` and ``instance``."""

EDGE_OPENED = "edge.opened"
"""info: addresses. No session_id."""

EDGE_SESSION_OPENED = "edge.session_opened"
"""debug: ip."""

EDGE_SESSION_LIMIT_REACHED = "edge.session_limit_reached"
"""warning: max_sessions. Further connections get 421; said once until there is room again; no session_id."""

EDGE_CLIENT_REFUSED = "edge.client_refused"
"""info: ip, reply. There are too many sessions from there; said once a minute for each address; no session_id."""

EDGE_PROXY_REFUSED = "edge.proxy_refused"
"""warning: ip, reason. A connection without a PROXY header that could be believed; once a minute; no session_id."""

EDGE_ACCEPT_FAILED = "edge.accept_failed"
"""warning: error. Clients cannot be accepted, mostly for want of descriptors; said once until they can be; no
session_id."""

EDGE_CERTIFICATES_RELOADED = "edge.certificates_reloaded"
"""info: expires_at. New sessions get the changed certificates. No session_id."""

EDGE_CERTIFICATES_REFUSED = "edge.certificates_refused"
"""error: error. The changed certificates cannot be used; those of before still are. No session_id."""

EDGE_SESSION_CLOSED = "edge.session_closed"
"""info: ip, helo, tls, reason, accepted_count, rejected_count, duration_s. `tls` is the version, ``""`` in clear."""

EDGE_HELO_REJECTED = "edge.helo_rejected"
"""info: helo, reply."""

EDGE_MAIL_REJECTED = "edge.mail_rejected"
"""info: sender, reply."""

EDGE_RCPT_REJECTED = "edge.rcpt_rejected"
"""info: sender, rcpt, reply."""

EDGE_AUTHENTICATED = "edge.authenticated"
"""info: identity, mechanism."""

EDGE_AUTH_FAILED = "edge.auth_failed"
"""info: ip, user, mechanism, reply. The user is whoever the client said it was, and never what it said to prove it."""

EDGE_TLS_REJECTED = "edge.tls_rejected"
"""info: reply. A validator refused the session after the handshake."""

EDGE_CLIENT_REPLACED = "edge.client_replaced"
"""info: ip, host, identity, proxy_ip. A trusted proxy has said with XCLIENT whom it speaks for."""

EDGE_TABLE_READ = "edge.table_read"
"""info: path, entry_count. A lookup table was read, at first or because it has changed."""

EDGE_TABLE_FAILED = "edge.table_failed"
"""error: path, errors. A lookup table cannot be used; what it said before holds. Said once for each change."""

EDGE_MESSAGE_REJECTED = "edge.message_rejected"
"""info: transaction_id, sender, rcpt_count, reply. By the edge or a validator; the queue logs what it refuses."""

EDGE_RESULTS_REMOVED = "edge.results_removed"
"""info: transaction_id, count. So many Authentication-Results claimed to be ours, and were taken out."""

EDGE_SPOOL_FAILED = "edge.spool_failed"
"""error: transaction_id, error, reply. The body could not be written to the spool folder."""

EDGE_REPLY_UNCONFIRMED = "edge.reply_unconfirmed"
"""warning: reply. The message is ours, but the client went away before it showed that it had the reply; its retry is a
legal duplicate."""
