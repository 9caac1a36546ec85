"""What an edge's configuration says about recipients, relaying and users that cannot be meant.

Reads the file of recipients; no other side effects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from mdacore import EdgeContext, Problem, split_address
from mdacore_edge_smtp.config import SmtpConfig
from mdacore_edge_smtp.lookup import read_table
from mdacore_edge_smtp.mailboxes import ascii_domain
from mdacore_edge_smtp.networks import Networks


def mail_problems(config: SmtpConfig, context: EdgeContext) -> Iterable[Problem]:
    """All that is wrong, with the keys of the edge's table."""
    return chain(_recipients(config, context), _relaying(config), _users(config, context))


def _recipients(config: SmtpConfig, context: EdgeContext) -> Iterator[Problem]:
    domains = set(map(ascii_domain, config.domains or (config.hostname or context.hostname, "localhost")))
    for index, address in enumerate(config.recipients):
        domain = split_address(address)[1]
        if ascii_domain(domain) not in domains:
            yield Problem(f"recipients[{index}]", f"{domain} is not among domains: nothing is accepted for it")
    if config.recipients_file is not None:
        for mistake in read_table(context.resolve(config.recipients_file)).mistakes:
            yield Problem("recipients_file", mistake)
    elif config.catch_all and not config.recipients:
        yield Problem("catch_all", "nobody is unknown: neither recipients nor recipients_file says who is known")


def _relaying(config: SmtpConfig) -> Iterator[Problem]:
    for index in Networks(config.relay_networks).too_wide:
        yield Problem(f"relay_networks[{index}]", f"{config.relay_networks[index]} would make this an open relay")


def _users(config: SmtpConfig, context: EdgeContext) -> Iterator[Problem]:
    if config.xclient_from:  # a proxy may say who its client is
        return
    for key in ("relay_for_authenticated", "require_auth"):
        if not getattr(config, key):
            continue
        if not context.validators.auth:
            yield Problem(key, "nobody can authenticate: none of validators knows users")
        elif not config.tls.is_on and not config.auth_without_tls:
            yield Problem(key, "nobody can authenticate: AUTH needs tls.certificates, or auth_without_tls")
