"""Which keys of a queue's table say something: that depends on whether it has a storage or is a proxy."""

from __future__ import annotations

from typing import Final

from mdacore.assembly.config import QueueKeys
from mdacore.assembly.keys import keys_of
from mdacore.assembly.references import check_name
from mdacore.assembly.tree import Report

FOR_EVERY_QUEUE: Final = frozenset({"proxy", "policies", "relay_policies", "relay", "routes", "claims_max"})
FOR_PROXIES: Final = frozenset({"place_wait_s", "reply_within_s"})


def check_kind(name: str, keys: QueueKeys, report: Report) -> None:
    """Note what a queue has that does not go with what it is."""
    path = ("queues", name)
    for key in keys_of(QueueKeys):
        if key.name in unused_keys(keys) - {"storage"} and report.tree.has((*path, key.name)):
            if keys.proxy:
                text = "a proxy queue stores nothing, tries nothing again and sends no notices: leave it out"
                report.add((*path, key.name), text)
            elif getattr(keys, key.field.name) != key.default:  # a default may stand: `mdacore init` writes it
                report.add((*path, key.name), "only a proxy queue (proxy = true) has it: leave it out")
    if keys.proxy and keys.storage is not None:
        report.add((*path, "storage"), "a proxy queue stores nothing: leave out either this or proxy")
    elif keys.storage is not None:
        check_name(report, (*path, "storage"), "storages", keys.storage)


def unused_keys(keys: QueueKeys) -> frozenset[str]:
    """The keys that say nothing of such a queue."""
    if not keys.proxy:
        return FOR_PROXIES
    return frozenset(key.name for key in keys_of(QueueKeys)) - FOR_EVERY_QUEUE - FOR_PROXIES
