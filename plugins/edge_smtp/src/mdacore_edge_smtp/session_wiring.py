"""SessionWiring: what all sessions of one edge share, from its configuration and its surroundings."""

from __future__ import annotations

import attrs

from mdacore import Chain, Clock, EdgeContext, EventLog, Handoff, fold_domain
from mdacore_edge_smtp.config import SmtpConfig
from mdacore_edge_smtp.protocol import POSTMASTER


@attrs.frozen(kw_only=True)
class SessionWiring:
    """What all sessions of one edge share.

    Attributes:
        domains: folded; mail for any other is refused.
        postmaster: where mail for the bare name goes (RFC 5321 §4.5.1).
        spool_threshold_bytes: larger bodies go to a file, if the queue has a spool folder.
        max_hops: more Received fields than these are a loop.
        adds_received: put a Received field on top.
    """

    hostname: str
    domains: frozenset[str]
    postmaster: str
    spool_threshold_bytes: int
    max_hops: int
    adds_received: bool
    handoff: Handoff
    validators: Chain
    clock: Clock
    log: EventLog


def wiring(config: SmtpConfig, context: EdgeContext) -> SessionWiring:
    """Without domains, mail is accepted for localhost and the host's own name; postmaster alone is at the first."""
    hostname = config.hostname or context.hostname
    domains = config.domains or (hostname, "localhost")
    return SessionWiring(
        hostname=hostname,
        domains=frozenset(map(fold_domain, domains)),
        postmaster=f"{POSTMASTER}@{domains[0]}",
        spool_threshold_bytes=config.spool_threshold_bytes,
        max_hops=config.max_hops,
        adds_received=config.received,
        handoff=context.handoff,
        validators=context.validators,
        clock=context.clock,
        log=context.log,
    )
