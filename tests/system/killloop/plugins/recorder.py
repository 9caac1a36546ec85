"""A relay that writes down each delivery in one line, at once: what it has written survives the kill of the process.

What becomes of a recipient stands in the last word of its local part: ``later`` is deferred at its first attempt,
``never`` fails for good, everything else is delivered.
"""

import hashlib
import json
import os
import time
from pathlib import Path

import attrs

from mdacore import API_VERSION, Health, Provider, Reply, hookimpl

OK = Reply.parse("250 2.0.0 Written down")
LATER = Reply.parse("451 4.2.1 Mailbox busy")
NEVER = Reply.parse("550 5.1.1 No such user")


@attrs.frozen(kw_only=True)
class Config:
    """Where to write; `loses`: say 250 and write nothing, now and then, to prove that somebody notices."""

    path: Path = Path("deliveries.jsonl")
    loses: bool = False


class Recorder:
    """Final delivery into one file of JSON lines."""

    def __init__(self, config, context):
        self._path = context.resolve(config.path)
        self._loses = config.loses
        self._file = -1
        self._count = 0

    def start(self):
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def drain(self, grace_s):
        return True

    def stop(self):
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def health(self):
        return Health()

    def destination(self, envelope):
        return ""

    def attempt(self, envelope, attempt):
        body = b"".join(envelope.content.chunks()).partition(b"\r\n\r\n")[2]
        digest = hashlib.sha256(body).hexdigest()
        return {one.number: self._reply(one.address, attempt, digest) for one in envelope.recipients}

    def _reply(self, address, attempt, digest):
        how = address.partition("@")[0].rpartition(".")[2]
        if how == "never":
            return NEVER
        if how == "later" and attempt.number == 1:
            return LATER
        self._count += 1
        if not (self._loses and self._count % 2 == 0):
            line = {"rcpt": address, "at": time.time(), "pid": os.getpid(), "digest": digest, "id": attempt.queue_id}
            os.write(self._file, json.dumps(line).encode() + b"\n")
        return OK


@hookimpl
def mdacore_relays():
    """One kind."""
    yield Provider(kind="recorder", config=Config, build=Recorder, api=API_VERSION, default=True)
