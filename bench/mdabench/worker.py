"""Workers: scripts that do themselves what is measured, in a process of their own.

What they are to do comes on their standard input, and what they have measured goes to their standard output, each as
one object of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mdabench.load import BENCH
from mdabench.server import Failed

WORKERS = BENCH / "workers"


def run(
    name: str,
    wanted: dict[str, Any],
    *,
    data: Path,
    limit_s: float,
    environment: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """What ``workers/<name>.py`` has measured. Raises Failed with what it said, also when it takes too long.

    The `environment` is added to our own.
    """
    command = [sys.executable, str(WORKERS / f"{name}.py")]
    pipe = subprocess.PIPE
    with (data / f"{name}.log").open("w+b") as log:
        with subprocess.Popen(
            command,
            stdin=pipe,
            stdout=pipe,
            stderr=log,
            cwd=data,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        ) as process:
            try:
                said, _ = process.communicate(json.dumps(wanted).encode(), timeout=limit_s)
            except subprocess.TimeoutExpired:
                raise Failed(f"{name} has not ended in {limit_s:g} s") from None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if process.returncode != 0:
            log.seek(0)
            raise Failed(
                f"{name} ended with {process.returncode}: {log.read().decode(errors='replace')[-1500:].strip()}"
            )
    values: dict[str, float] = json.loads(said)
    return values
