"""The programs that `./test` fetches into the checkout, their configurations, and running one that ends by itself."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

CONFIG = Path(__file__).parent / "config"
FETCHED = Path(__file__).parents[3] / ".clients"
EXIM = str(FETCHED / "exim4")
NODE_MODULES = FETCHED / "nodemailer" / "node_modules"
HAS_SASL = any(Path("/usr/lib").glob("*/sasl2/libplain.so"))
"""Postfix's client can authenticate."""
PATIENCE_S = 120


def run(*command: object, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    """The exit status, and all that it said."""
    done = subprocess.run(
        [str(word) for word in command],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def filled(name: str, **values: object) -> str:
    """A file of `config/`, with each ``@name@`` of these replaced."""
    text = (CONFIG / name).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text
