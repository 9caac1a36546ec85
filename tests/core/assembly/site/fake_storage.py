"""A plugin with two kinds of storage: `file` (the default) and `other`. It remembers entries as JSON lines."""

import json
import os
from pathlib import Path

import attrs
from fake_parts import Inert

from mdacore import API_VERSION, Problem, Provider, QueueEntry, QueueId, Reply, State, StorageError, hookimpl


@attrs.frozen(kw_only=True)
class Config:
    """Where the file is."""

    path: Path = attrs.field(default=Path("spool.jsonl"), metadata={"help": "The file."})


class Storage(Inert):
    """Reads entries from its file."""

    durability = "Nothing survives anything."
    spool_path = None
    renew_every_s = None

    def _not_asked_for(self, *_, **__):
        raise NotImplementedError

    amend = peek = read = refusal = release = renew = settle = write = _not_asked_for

    def has_suspect(self, queue):
        return False

    def claim_suspect(self, queue):
        return None

    def start_reading(self):
        if not self._path.exists():
            raise StorageError(f"there is no store at {self._path}")

    def entries(self, query):
        number = 0
        for line in self._path.read_text().splitlines():
            if line == "damaged":
                raise StorageError("damaged")
            entry = entry_of(json.loads(line))
            if _fits(entry, query) and (query.limit is None or number < query.limit):
                number += 1
                yield entry

    def claim(self, queue, limit, *, full_lanes=()):
        return ()

    def wait(self, queue, timeout_s):
        self.context.clock.sleep(timeout_s)

    @property
    def _path(self):
        return self.context.resolve(self.config.path)


def _fits(entry, query):
    return (not query.queue or entry.queue == query.queue) and (not query.states or entry.state in query.states)


def entry_of(facts):
    """A QueueEntry of a line's JSON."""
    recipients = [(address, Reply.parse(reply) if reply else None) for address, reply in facts["recipients"]]
    return QueueEntry(
        queue_id=QueueId(facts["id"]),
        queue=facts.get("queue", "main"),
        lane="local/",
        state=State(facts["state"]),
        sender=facts["sender"],
        recipients=recipients,
        size_bytes=facts.get("size", 100),
        accepted_at=1_700_000_000.0,
        due_at=1_700_000_060.0,
        attempts=1,
        held=facts.get("held", ""),
    )


def check(config, context):
    """Its folder must be writable, where it exists."""
    folder = context.resolve(config.path).parent
    if folder.exists() and not os.access(folder, os.W_OK):
        yield Problem("path", f"{folder} is not writable")


@hookimpl
def mdacore_storages():
    """Two kinds."""
    yield Provider(kind="file", config=Config, build=Storage, api=API_VERSION, default=True, check=check)
    yield Provider(kind="other", config=Config, build=Storage, api=API_VERSION)
