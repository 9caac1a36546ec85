"""Part: what belongs to the process and not to the way of the mail: its number, its helper, its user.

Parts start between the binding of the ports and the first storage, the state folder before that; they stop after
everything else.
"""

from __future__ import annotations

from mdacore.contracts import Health


class Part:
    """A Component that has nothing to drain and is always well; each of its kind says what it does."""

    def start(self) -> None:
        """Raises OSError if it cannot; nothing is left behind then."""

    def drain(self, grace_s: float) -> bool:  # noqa: ARG002 - the contract's parameter
        """Nothing is in hand."""
        return True

    def stop(self) -> None:
        """Idempotent; raises nothing."""

    def health(self) -> Health:
        """Well."""
        return Health()
