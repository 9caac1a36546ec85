"""SessionWiring: what all sessions of one edge share, from its configuration and its surroundings."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from mdacore import Chain, Clock, EdgeContext, EventLog, Handoff
from mdacore_edge_smtp.admission import Admission
from mdacore_edge_smtp.config import SmtpConfig
from mdacore_edge_smtp.lookup import LookupTable
from mdacore_edge_smtp.memory import MemoryBudget
from mdacore_edge_smtp.networks import Networks
from mdacore_edge_smtp.offers import Offers
from mdacore_edge_smtp.recipients import Recipients, Rules
from mdacore_edge_smtp.results import OwnResults


@attrs.frozen(kw_only=True)
class SessionWiring:
    """What all sessions of one edge share.

    Attributes:
        open_domains: folded; whatever is sent there is accepted, and `recipients` need not be asked.
        relay_networks: who is in there may send to any domain.
        xclient_from: who is in there is believed when it speaks for others.
        has_gate: MAIL needs TLS or a user.
        max_recipients: of one transaction; 1 where its only reply could not tell of several.
        own_results: finds what claims to be ours.
        budget: of the memory that all messages on their way share.
        admission: is told who fails to authenticate.
    """

    config: SmtpConfig
    hostname: str
    is_lmtp: bool
    open_domains: frozenset[str]
    recipients: Recipients
    relay_networks: Networks
    xclient_from: Networks
    offers: Offers
    has_gate: bool
    max_recipients: int
    own_results: OwnResults
    budget: MemoryBudget
    admission: Admission
    handoff: Handoff
    validators: Chain
    clock: Clock
    log: EventLog


def wiring(
    config: SmtpConfig,
    context: EdgeContext,
    *,
    budget: MemoryBudget,
    admission: Admission,
    is_lmtp: bool = False,
    has_starttls: bool = False,
) -> SessionWiring:
    """Everything that does not change from one session to the next. No I/O."""
    recipients = Recipients(_rules(config, context))
    max_recipients = 1 if context.handoff.is_proxy and not is_lmtp else config.max_recipients
    return SessionWiring(
        config=config,
        hostname=config.hostname or context.hostname,
        is_lmtp=is_lmtp,
        open_domains=recipients.open_domains,
        recipients=recipients,
        relay_networks=Networks(config.relay_networks),
        xclient_from=Networks(config.xclient_from),
        offers=Offers(
            config=config,
            max_recipients=max_recipients,
            has_tls=has_starttls,
            has_auth=bool(context.validators.auth),
            has_dsn=not context.handoff.is_proxy,
        ),
        has_gate=config.require_auth or config.require_tls,
        max_recipients=max_recipients,
        own_results=OwnResults(_authserv_ids(config, context)),
        budget=budget,
        admission=admission,
        handoff=context.handoff,
        validators=context.validators,
        clock=context.clock,
        log=context.log,
    )


def _authserv_ids(config: SmtpConfig, context: EdgeContext) -> Sequence[str]:
    """Whoever speaks LMTP to us is a server of ours (RFC 2033 §1), and may have spoken in our name."""
    if config.authserv_ids is not None:
        return config.authserv_ids
    return () if config.is_lmtp else (config.hostname or context.hostname, context.hostname)


def _rules(config: SmtpConfig, context: EdgeContext) -> Rules:
    """Without domains, mail is accepted for localhost and the host's own name."""
    file = config.recipients_file
    return Rules(
        domains=config.domains or (config.hostname or context.hostname, "localhost"),
        listed=config.recipients,
        table=None if file is None else LookupTable(context.resolve(file), clock=context.clock, log=context.log),
        catch_all=config.catch_all,
        delimiter=config.recipient_delimiter,
        postmaster=config.postmaster,
    )
