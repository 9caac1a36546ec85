"""python-slimta as a mail delivery agent: its SMTP edge, its queue on two shelves, its blackhole relay.

slimta's shelf storage leaves it to the system when a message reaches the disk. Here it is made durable in the simplest
way: both shelves are synced before a message counts as written. Runs in an environment of its own, with gdbm.
"""

# ruff: noqa: E402 - everything is imported after the patch
# mypy: disable-error-code="import-not-found, misc"
# slimta is in another environment, so that here its classes are Any.
from gevent import monkey

monkey.patch_all()

import shelve
import sys
from dbm import gnu
from pathlib import Path
from typing import Any

from gevent.event import Event
from slimta.edge.smtp import SmtpEdge
from slimta.queue import Queue
from slimta.queue.dict import DictStorage
from slimta.relay.blackhole import BlackholeRelay


class SyncedStorage(DictStorage):
    """slimta's storage in two dictionaries, each of which can be synced."""

    def write(self, envelope: Any, timestamp: float) -> Any:
        """As slimta does it, and then durable."""
        queue_id = super().write(envelope, timestamp)
        self.env_db.sync()
        self.meta_db.sync()
        return queue_id


def main(port: int, folder: Path) -> None:
    """Serve on the loopback until a signal ends it."""
    queue = Queue(SyncedStorage(shelf(folder / "envelopes"), shelf(folder / "state")), BlackholeRelay())
    queue.start()
    SmtpEdge(("127.0.0.1", port), queue, hostname="mx.example.test").start()
    Event().wait()


def shelf(path: Path) -> shelve.Shelf[Any]:
    """A shelf in a new database."""
    database: Any = gnu.open(str(path), "c")  # noqa: SIM115 - open as long as the process lives
    return shelve.Shelf(database)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
