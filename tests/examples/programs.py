"""What the tests of examples share: modules that are installed nowhere, clients beside the hub, certificates."""

from __future__ import annotations

import importlib.util
import smtplib
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import attrs
import gevent

T = TypeVar("T")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PATIENCE_S = 120.0


def module_of(file: Path) -> ModuleType:
    """The module in this file."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ask_smtp(talk: Callable[[smtplib.SMTP], T], address: tuple[str, int]) -> T:
    """What a client says, in a thread: smtplib would block the hub, since nothing is patched."""

    def ask() -> T:
        with smtplib.SMTP(*address, timeout=PATIENCE_S) as client:
            return talk(client)

    return gevent.get_hub().threadpool.apply(ask)


@attrs.frozen
class Certificate:
    """A certificate that signs itself, for localhost and 127.0.0.1, with its key."""

    certificate: Path
    key: Path

    @classmethod
    def made_in(cls, folder: Path) -> Certificate:
        made = cls(folder / "fullchain.pem", folder / "privkey.pem")
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        command += ["-keyout", str(made.key), "-out", str(made.certificate), "-subj", "/CN=localhost", "-days", "2"]
        command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        subprocess.run(command, check=True, capture_output=True)
        return made

    @property
    def table(self) -> dict[str, str]:
        """As it stands in a configuration."""
        return {"certificate": str(self.certificate), "key": str(self.key)}

    @property
    def trusted(self) -> ssl.SSLContext:
        """For a client that trusts it and nothing else."""
        return ssl.create_default_context(cafile=str(self.certificate))
