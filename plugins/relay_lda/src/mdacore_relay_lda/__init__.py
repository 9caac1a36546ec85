"""The LDA relay: final delivery by dovecot-lda, maildrop or any other program."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mdacore import Context, Provider, hookimpl
from mdacore_relay_lda import kinds
from mdacore_relay_lda.config import DovecotLdaConfig, MaildropConfig, PipeConfig
from mdacore_relay_lda.relay import LdaRelay

__all__ = ["DovecotLdaConfig", "LdaRelay", "MaildropConfig", "PipeConfig", "mdacore_relays"]


@hookimpl
def mdacore_relays() -> Iterable[Provider[Any, Context, LdaRelay]]:
    """Three kinds; `dovecot_lda` is the default."""
    yield Provider(
        kind="dovecot_lda", config=DovecotLdaConfig, build=kinds.dovecot_lda, api=1, default=True, check=kinds.check
    )
    yield Provider(kind="maildrop", config=MaildropConfig, build=kinds.maildrop, api=1, check=kinds.check)
    yield Provider(kind="pipe", config=PipeConfig, build=kinds.pipe, api=1, check=kinds.check)
