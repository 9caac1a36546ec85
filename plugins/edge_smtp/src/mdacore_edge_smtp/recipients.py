"""Recipients: who gets mail here, by configuration alone; asked before any validator.

Invariant: what is accepted goes to a domain of ours, or where the operator has said so; whether a client may send
elsewhere is not decided in here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from mdacore import LOCAL_ERROR, Reply
from mdacore_edge_smtp.lookup import KNOWN, Entries, LookupTable
from mdacore_edge_smtp.mailboxes import Key, ascii_domain, mailbox_of, normal_domain, without_extension
from mdacore_edge_smtp.protocol import POSTMASTER

RELAYING_DENIED = Reply(code=550, enhanced="5.7.1", text="Relaying denied")
UNKNOWN_RECIPIENT = Reply(code=550, enhanced="5.1.1", text="Recipient unknown")


@attrs.frozen
class Resolution:
    """What the configuration says about one recipient: where it goes, or why it does not."""

    address: str
    refusal: Reply | None = None


@attrs.frozen(kw_only=True)
class Rules:
    """What an operator has said.

    Attributes:
        domains: ours, as they are written; at least one.
        listed: addresses that are known; ``@example.com`` is all of that domain.
        table: a file with more of them.
        catch_all: where mail for the unknown goes; ``""`` = nowhere.
        delimiter: what separates a mailbox and its sub-address; ``""`` = nothing does.
        postmaster: where mail for any postmaster of ours goes; ``""`` = where it is sent, the bare name to the first
            domain.
    """

    domains: tuple[str, ...]
    listed: tuple[str, ...] = ()
    table: LookupTable | None = None
    catch_all: str = ""
    delimiter: str = ""
    postmaster: str = ""


class Recipients:
    """The rules, ready to be asked.

    Attributes:
        open_domains: whatever is sent to these, as `domain_of` gives them, is accepted as it is, and `resolve` need not
            be asked; their other spellings need.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._domains = frozenset(map(ascii_domain, rules.domains))
        self._listed: Entries = dict.fromkeys(map(mailbox_of, rules.listed), KNOWN)
        self._is_open = not rules.listed and rules.table is None
        self._postmaster = rules.postmaster or f"{POSTMASTER}@{rules.domains[0]}"
        is_plain = self._is_open and not rules.postmaster
        self.open_domains = frozenset(_spellings(rules.domains)) if is_plain else frozenset[str]()

    def resolve(self, address: str) -> Resolution:
        """Where mail for this address goes. May block this greenlet for the file (see `LookupTable.entries`)."""
        if address == POSTMASTER:  # RFC 5321 §4.5.1
            return Resolution(self._postmaster)
        key = mailbox_of(address)
        if key[1] not in self._domains:
            return Resolution(address, RELAYING_DENIED)
        if key[0] == POSTMASTER:
            return Resolution(self._rules.postmaster or address)
        said = KNOWN if self._is_open else self._said_of(key)
        if said is None:
            return self._unknown(address)
        return Resolution(address, None if said.is_success else said)

    def _unknown(self, address: str) -> Resolution:
        catch_all = self._rules.catch_all
        return Resolution(catch_all) if catch_all else Resolution(address, UNKNOWN_RECIPIENT)

    def _said_of(self, key: Key) -> Reply | None:
        """What stands about the mailbox itself, else about the one it is a sub-address of, else about the domain."""
        table = self._rules.table
        entries = {} if table is None else table.entries()
        for candidate in self._candidates(key):
            said = self._listed.get(candidate) or (entries or {}).get(candidate)
            if said is not None:
                return said
        return LOCAL_ERROR if entries is None else None

    def _candidates(self, key: Key) -> Iterator[Key]:
        yield key
        mailbox = without_extension(key, self._rules.delimiter)
        if mailbox is not None:
            yield mailbox
        yield "", key[1]


def _spellings(domains: Iterable[str]) -> Iterator[str]:
    for domain in domains:
        yield normal_domain(domain)
        yield ascii_domain(domain)
