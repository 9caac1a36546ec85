"""Certificates: pairs of files, proven before they are shown to anybody, and read again when they change.

Invariants: what `choose` gives has passed a handshake with itself; whatever happens to the files later, it stays until
all pairs are good again. Loading blocks on the disk, so it is for the start and for a thread.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from gevent import ssl

from mdacore import Context, Problem
from mdacore_edge_smtp.tls_config import TlsConfig

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_REASONS = {
    "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
}
_FLIGHTS = 3
"""What a client of TLS 1.2 needs for the whole handshake; OpenSSL may be configured for no more than that."""


class UnusablePair(ValueError):
    """A certificate and key that cannot be shown; a sentence for the operator, and the key of the configuration."""

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.key = key


@attrs.frozen(kw_only=True)
class Pair:
    """One certificate's files, absolute, and where the configuration names them (``"tls.certificates[0]"``)."""

    key_path: str
    certificate: Path
    key: Path


@attrs.frozen(kw_only=True)
class Proven:
    """A pair that works.

    Attributes:
        names: in lower case, with wildcards as they stand in the certificate.
        expires_at: epoch seconds.
    """

    context: ssl.SSLContext
    names: frozenset[str]
    expires_at: float


def pairs_of(config: TlsConfig, context: Context) -> Sequence[Pair]:
    """The pairs that the configuration names; relative paths are under the state folder."""
    return [
        Pair(
            key_path=f"tls.certificates[{index}]",
            certificate=context.resolve(each.certificate),
            key=context.resolve(each.key or each.certificate),
        )
        for index, each in enumerate(config.certificates)
    ]


class Certificates:
    """All that one edge has. Contexts, and so session tickets, are its own: those of another edge are worth nothing.

    Attributes:
        refused: why the files, as they are now, could not be taken up; ``""`` = they are in use.
    """

    def __init__(self, pairs: Sequence[Pair], config: TlsConfig) -> None:
        self._pairs = pairs
        self._min_version = config.min_version
        self._seen: object = None
        self._proven: Sequence[Proven] = ()
        self._by_name: Mapping[str, ssl.SSLContext] = {}
        self.refused = ""

    @property
    def expires_at(self) -> float:
        """When the first of them does, in epoch seconds."""
        return min((proven.expires_at for proven in self._proven), default=float("inf"))

    def complaint(self, now: float) -> str:
        """What an operator should know of them, ``""`` = nothing. `now` is in epoch seconds."""
        if self.refused:
            return f"the certificates on disk are not in use: {self.refused}"
        return "a certificate has expired" if now > self.expires_at else ""

    def load(self) -> None:
        """Read and prove all of them. Blocks on the disk, a few milliseconds for each.

        Raises:
            UnusablePair: one cannot be used, and those that were in use before still are.
        """
        self._seen = self._look()
        proven = [prove(pair, min_version=self._min_version) for pair in self._pairs]
        # Of several for one name the first is used.
        self._by_name = {name: each.context for each in reversed(proven) for name in each.names}
        self._proven = proven

    def reload(self) -> bool:
        """Load them if a file has changed since they were last looked at; True = they are in use, or `refused` is set.

        For a thread: blocks on the disk, raises nothing.
        """
        if self._look() == self._seen:
            return False
        try:
            self.load()
        except UnusablePair as error:
            self.refused = str(error)
        else:
            self.refused = ""
        return True

    def choose(self, name: str) -> ssl.SSLContext:
        """The context for the name that a client asks for: the certificate with it, or with ``*.`` for its first label.

        Without one, the first certificate: few clients of port 25 mind, and they say so better than we could.
        """
        by_name = self._by_name
        found = by_name.get(name) or by_name.get("*." + name.partition(".")[2])
        return found or self._proven[0].context

    def _look(self) -> object:
        return [_signature(path) for pair in self._pairs for path in (pair.certificate, pair.key)]


def problems_of(config: TlsConfig, context: Context) -> Iterator[Problem]:
    """What is wrong with the pairs that the configuration names. Reads them; no other side effects."""
    for pair in pairs_of(config, context):
        try:
            prove(pair, min_version=config.min_version)
        except UnusablePair as error:
            yield Problem(error.key, str(error))
            continue
        if pair.key.stat().st_mode & stat.S_IROTH:
            yield Problem(f"{pair.key_path}.key", f"everybody on this machine may read {pair.key}: chmod o= is missing")


def prove(pair: Pair, *, min_version: str) -> Proven:
    """Load a pair, and shake hands with it as a client would who trusts this certificate and no other.

    Raises:
        UnusablePair: unreadable, not PEM, encrypted, not belonging together, expired, not for a server.
    """
    _check_readable(f"{pair.key_path}.certificate", pair.certificate)
    _check_readable(f"{pair.key_path}.key", pair.key)

    def no_password() -> str:
        raise UnusablePair(f"{pair.key_path}.key", f"{pair.key} is encrypted, and there is nobody to ask")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[min_version]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(pair.certificate, pair.key, password=no_password)
        peer = _certificate_as_seen(context, pair.certificate)
    except ssl.SSLCertVerificationError as error:
        raise UnusablePair(f"{pair.key_path}.certificate", f"{pair.certificate}: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise UnusablePair(pair.key_path, f"{pair.certificate}: {_sentence(error)}") from error
    except OSError as error:  # replaced by unlink and link, as certbot does it, and this is the moment between
        raise UnusablePair(pair.key_path, f"cannot read {pair.certificate} and its key: {error.strerror}") from error
    expires_at = float(ssl.cert_time_to_seconds(peer["notAfter"]))
    return Proven(context=context, names=_names(peer), expires_at=expires_at)


def _check_readable(key: str, path: Path) -> None:
    try:
        if path.exists() and not path.is_file():  # to open a FIFO would block until somebody writes to it
            raise UnusablePair(key, f"cannot read {path}: it is not a file")
        path.open("rb").close()
    except OSError as error:
        raise UnusablePair(key, f"cannot read {path}: {error.strerror}") from error


def _certificate_as_seen(server_context: ssl.SSLContext, certificate: Path) -> Mapping[str, Any]:
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client_context.load_verify_locations(cafile=str(certificate))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server)
    for _ in range(_FLIGHTS):
        for side in (client, server):
            _go_on(side)
    return client.getpeercert() or {}


def _go_on(side: ssl.SSLObject) -> None:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return


def _names(peer: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(name.lower() for kind, name in peer.get("subjectAltName", ()) if kind == "DNS")


def _sentence(error: ssl.SSLError) -> str:
    reason = error.reason
    if reason is None:  # of what it found in a file OpenSSL says less than of what it met on a wire
        return "the certificate or the key is not whole, or not in PEM"
    return _REASONS.get(reason, reason.replace("_", " ").lower())


def _signature(path: Path) -> object:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
