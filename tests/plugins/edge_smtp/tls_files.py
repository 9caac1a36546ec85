"""Certificates to test with, made by the openssl program, and clients that trust them."""

from __future__ import annotations

import ssl as standard_ssl
import subprocess
from pathlib import Path

from gevent import ssl


def make_pair(
    folder: Path, *names: str, stem: str = "mx", extra: tuple[str, ...] = ("-days", "2")
) -> tuple[Path, Path]:
    """A self-signed certificate for these names, and its key: ``mx.crt`` and ``mx.key``."""
    certificate, key = folder / f"{stem}.crt", folder / f"{stem}.key"
    names = names or ("mx.example.com",)
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={names[0]}", *extra]
    command += ["-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def expire(certificate: Path, key: Path) -> None:
    """Sign the certificate again, with a life that is over."""
    request = certificate.with_suffix(".csr")
    for command in (
        ["openssl", "x509", "-x509toreq", "-in", certificate, "-signkey", key, "-out", request],
        ["openssl", "x509", "-req", "-in", request, "-signkey", key, "-days", "-1", "-out", certificate],
    ):
        subprocess.run([str(word) for word in command], check=True, capture_output=True)


def trusting(*certificates: Path) -> ssl.SSLContext:
    """A client's context that trusts these and nothing else; names are the caller's to look at."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    for certificate in certificates:
        context.load_verify_locations(cafile=str(certificate))
    return context


def names_of(peer: standard_ssl.SSLObject | ssl.SSLSocket) -> list[str]:
    """The names in the certificate that the other side has shown."""
    return [name for _, name in (peer.getpeercert() or {})["subjectAltName"]]
