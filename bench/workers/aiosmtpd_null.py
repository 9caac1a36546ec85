"""aiosmtpd with a handler that says yes and forgets, on asyncio's own event loop. Usage: aiosmtpd_null.py PORT.

It runs in an environment of its own (`requirements/aiosmtpd.txt`), where there is nothing of this repository.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

from aiosmtpd.smtp import SMTP  # type: ignore[import-not-found]  # it is in the other environment

MAX_SIZE_BYTES = 50 * 2**20  # as much as edge_smtp takes
BACKLOG = 4096


class Null:
    """The handler."""

    async def handle_DATA(self, _server: object, _session: object, _envelope: object) -> str:  # noqa: N802 - its name
        return "250 2.0.0 Ok"


async def main() -> None:
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    server = await asyncio.get_running_loop().create_server(new_session, "127.0.0.1", int(sys.argv[1]), backlog=BACKLOG)
    await server.serve_forever()


def new_session() -> Any:
    """One connection's protocol."""
    return SMTP(Null(), data_size_limit=MAX_SIZE_BYTES, hostname="mx.example.test", enable_SMTPUTF8=True)


if __name__ == "__main__":
    asyncio.run(main())
