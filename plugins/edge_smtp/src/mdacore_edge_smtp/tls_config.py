"""What an operator says about TLS: ``[edges.<name>.tls]``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import attrs

from mdacore import Seconds


def _above_zero(_: object, __: object, value: float) -> None:
    if value <= 0:
        raise ValueError(f"{value} is not above 0")


@attrs.frozen(kw_only=True)
class CertificateConfig:
    """One certificate with its key, in PEM."""

    certificate: Path = attrs.field(
        metadata={"help": "The certificate, followed by those between it and a root: fullchain.pem."}
    )
    key: Path | None = attrs.field(
        default=None, metadata={"help": "Its private key, not encrypted; not given, it is in the same file."}
    )


@attrs.frozen(kw_only=True)
class TlsConfig:
    """TLS for all sessions of an edge; without a certificate there is none."""

    certificates: tuple[CertificateConfig, ...] = attrs.field(
        default=(),
        metadata={
            "help": 'Each { certificate = "fullchain.pem", key = "privkey.pem" }, for the names in it; clients that '
            "ask for no name get the first."
        },
    )
    min_version: Literal["1.2", "1.3"] = attrs.field(
        default="1.2", metadata={"help": "The oldest version of TLS that is spoken: 1.2 or 1.3."}
    )
    handshake_timeout_s: Seconds = attrs.field(
        default=Seconds(30.0),
        validator=_above_zero,
        metadata={"help": "How long a client may take for the handshake, all of it."},
    )
    reload_interval_s: Seconds = attrs.field(
        default=Seconds(60.0),
        validator=_above_zero,
        metadata={"help": "How often the files are looked at; changed ones are used for new sessions."},
    )

    @property
    def is_on(self) -> bool:
        """There is something to show to clients."""
        return bool(self.certificates)
