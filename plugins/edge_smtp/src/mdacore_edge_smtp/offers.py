"""Offers: which extensions a session is offered, by its security and its peer; compiled once for each edge. Pure.

Invariant: AUTH is announced only where somebody answers it, and in clear only where the operator has said so.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import attrs

from mdacore import Reply
from mdacore_edge_smtp.config import SmtpConfig
from mdacore_edge_smtp.protocol import (
    AUTH,
    CHUNKING,
    DSN,
    ENCRYPTION_NEEDED,
    LIMITS,
    SMTP_EXTENSIONS,
    SMTPUTF8,
    STARTTLS,
    TLS_ALREADY,
    TLS_FOR_ANOTHER,
    XCLIENT,
    XCLIENT_DENIED,
    Extension,
    Offer,
    offer,
)


@attrs.frozen(kw_only=True)
class Offers:
    """What an edge has to offer.

    Attributes:
        max_recipients: of one transaction, as LIMITS tells it.
        has_tls: STARTTLS works here.
        has_auth: a validator speaks at that stage.
        has_dsn: there is a queue that can send notices: a proxy queue cannot, and so must not promise any.
    """

    config: SmtpConfig
    max_recipients: int
    has_tls: bool
    has_auth: bool
    has_dsn: bool = True
    _compiled: Mapping[tuple[bool, bool, bool], Offer] = attrs.field(init=False)

    @_compiled.default
    def _compile(self) -> Mapping[tuple[bool, bool, bool], Offer]:
        kinds = product((False, True), (False, True), (False, True))
        return {kind: self._new(*kind) for kind in kinds}

    def of(self, *, is_tls: bool, may_xclient: bool, is_replaced: bool = False) -> Offer:
        """For a connection that is encrypted or not, from a peer that may say XCLIENT or not, and has or has not."""
        return self._compiled[is_tls, may_xclient, is_replaced]

    def _new(self, is_tls: bool, may_xclient: bool, is_replaced: bool) -> Offer:
        extensions = [*SMTP_EXTENSIONS, CHUNKING, SMTPUTF8, *([DSN] if self.has_dsn else []), LIMITS]
        withheld: dict[Extension, Reply] = {}
        if is_tls:
            withheld[STARTTLS] = TLS_ALREADY
        elif self.has_tls and is_replaced:
            withheld[STARTTLS] = TLS_FOR_ANOTHER  # the handshake is the proxy's, and makes its client forgotten
        elif self.has_tls:
            extensions.append(STARTTLS)
        if self.has_auth:
            if is_tls or self.config.auth_without_tls:
                extensions.append(AUTH)
            else:
                withheld[AUTH] = ENCRYPTION_NEEDED
        if may_xclient:
            extensions.append(XCLIENT)
        elif self.config.xclient_from:
            withheld[XCLIENT] = XCLIENT_DENIED
        return offer(
            extensions,
            max_message_size_bytes=self.config.max_message_size_bytes,
            max_recipients=self.max_recipients,
            max_messages=self.config.max_messages,
            withheld=withheld,
        )
