"""The header policy: adds Date, Message-Id and Received where they are missing. Offers the kind ``headers``."""

from __future__ import annotations

from collections.abc import Iterable

from mdacore import Context, Provider, hookimpl
from mdacore_policy_headers.policy import HeadersConfig, HeadersPolicy

__all__ = ["HeadersConfig", "HeadersPolicy", "mdacore_policies"]


@hookimpl
def mdacore_policies() -> Iterable[Provider[HeadersConfig, Context, HeadersPolicy]]:
    """One kind, which is the default."""
    yield Provider(kind="headers", config=HeadersConfig, build=HeadersPolicy, api=1, default=True)
