"""How a queue tries again, as its table says: the rule for all domains, and those for some. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from mdacore.assembly.config import QueueKeys, RetryForKeys
from mdacore.assembly.tree import Report
from mdacore.queue import RetryRule, RetrySchedule
from mdacore.words import fold_domain


def check_retries(name: str, keys: QueueKeys, report: Report) -> None:
    """Note a domain that is named twice: nobody could tell how its mail is tried."""
    owners: dict[str, int] = {}
    for index, table in enumerate(keys.retry_for):
        for number, domain in enumerate(map(fold_domain, table.domains)):
            if domain in owners:
                where = ("queues", name, "retry_for", index, "domains", number)
                report.add(where, f"{domain} is named in retry_for[{owners[domain]}] already")
            owners.setdefault(domain, index)


def schedule_of(keys: QueueKeys) -> RetrySchedule:
    """The one for all domains that have none of their own."""
    return RetrySchedule.parse(keys.retry, jitter=keys.retry_jitter)


def rules_of(keys: QueueKeys) -> Mapping[str, RetryRule]:
    """Those of the others, by folded domain; what they do not say is as in the queue's."""
    return {fold_domain(domain): _rule(table, keys) for table in keys.retry_for for domain in table.domains}


def _rule(table: RetryForKeys, keys: QueueKeys) -> RetryRule:
    jitter = keys.retry_jitter if table.retry_jitter is None else table.retry_jitter
    return RetryRule(
        schedule=RetrySchedule.parse(table.retry or keys.retry, jitter=jitter),
        lifetime_s=keys.lifetime_s if table.lifetime_s is None else table.lifetime_s,
    )
