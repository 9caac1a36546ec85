"""Runs tests/dialogue/*.txt against sessions in memory: each read whole and one octet at a time.

A handshake is only thought of: after STARTTLS both sides go on as if there had been one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mdacore import Chain, Credentials, Identity
from mdacore.testing import run_dialogue
from mdacore_edge_smtp import LmtpConfig
from mdacore_edge_smtp.tls_config import CertificateConfig, TlsConfig

DIALOGUES = sorted((Path(__file__).parents[2] / "dialogue").glob("*.txt"))
LIST = ("bob@example.test", "carol@example.test")
TLS = TlsConfig(certificates=(CertificateConfig(certificate=Path("unread.pem")),))


def know_alice(_: object, credentials: Credentials) -> Identity | None:
    is_alice = ("alice", "sesame") == (credentials.authcid, credentials.secret)
    return Identity(name="alice") if is_alice else None


USERS = Chain(auth=(know_alice,))
AUTH = {"validators": USERS, "auth_without_tls": True, "require_auth": True, "relay_for_authenticated": True}
EDGES: Mapping[str, Mapping[str, Any]] = {
    "auth_plain": AUTH,
    "auth_login": AUTH,
    "lmtp": {"kind": LmtpConfig},
    "messages_limit": {"max_messages": 2},
    "messages_limit_probe": {"max_messages": 1},
    "recipients_catch_all": {"recipients": ("bob@example.test",), "catch_all": "carol@example.test"},
    "recipients_unknown": {"recipients": LIST, "postmaster": "carol@example.test"},
    "tls_starttls": {"validators": USERS, "tls": TLS, "require_tls": True},
    "bdat_empty": {"max_idle_commands": 3, "max_errors": 3},
    "xclient": {"xclient_from": ("192.0.2.7",), "relay_for_authenticated": True},
    "xclient_tls": {"xclient_from": ("192.0.2.7",), "tls": TLS},
}
"""How the edge of a dialogue is configured, where its defaults will not do."""

AT_ONCE = {"sync_errors"}
"""Dialogues about what comes too early: one octet at a time there would be time to answer."""


RUNS = [
    pytest.param(path, piece_bytes, id=f"{path.stem}-{'bytewise' if piece_bytes else 'whole'}")
    for path in DIALOGUES
    for piece_bytes in ((0,) if path.stem in AT_ONCE else (0, 1))
]


@pytest.mark.parametrize(("path", "piece_bytes"), RUNS)
def test_dialogue(path, piece_bytes, make_wire, handoff):
    handoff.is_proxy = path.stem.startswith("proxy_")
    wire = make_wire(**{"max_message_size_bytes": 10_000, **EDGES.get(path.stem, {})})

    run_dialogue(path, wire.peer(), handoff=handoff, piece_bytes=piece_bytes)


def test_each_edge_has_its_dialogue():
    assert set(EDGES) < {path.stem for path in DIALOGUES}
