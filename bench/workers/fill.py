"""Fills a new store with messages that wait for a time to come, by the storage's own `write`, many at once.

The object on standard input has the storage's `kind` and `path`; the number of `messages`, with a `message` and the
`mailboxes` that it goes to in turn; and `due_at`, when the first of them is due. The rest follow in a day's time.
"""

# ruff: noqa: E402 - as in the service, everything is imported after the patch
from gevent import monkey

monkey.patch_all()

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storages import QUEUE, new_message, started

from mdacore import NewMessage

BATCH = 500
SPREAD_S = 86_400.0


def main() -> None:
    want = json.load(sys.stdin)
    count = want["messages"]
    begin = time.monotonic()
    with started(want["kind"], Path(want["path"])) as storage:
        for start in range(0, count, BATCH):
            storage.write(list(batch(want, range(start, min(count, start + BATCH)))), queue=QUEUE)
    print(json.dumps({"messages": count, "seconds": time.monotonic() - begin}))


def batch(want: dict[str, Any], numbers: range) -> Iterator[NewMessage]:
    """Messages with these numbers."""
    text, mailboxes, count = want["message"].encode(), want["mailboxes"], want["messages"]
    for number in numbers:
        due_at = want["due_at"] + SPREAD_S * number / count
        yield new_message(text, mailboxes[number % len(mailboxes)], due_at=due_at)


if __name__ == "__main__":
    main()
