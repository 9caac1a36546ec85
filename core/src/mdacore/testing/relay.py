"""ScriptedRelay: a Relay that answers what the test says and remembers what it was given."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gevent.event import Event

from mdacore.contracts import Attempt, Health
from mdacore.words import Envelope, Reply, domain_of

Answer = Reply | BaseException | Callable[[Envelope, Attempt], Mapping[int, Reply]]


class ScriptedRelay:
    """Answers each attempt with the next of its script, then for ever with the last.

    A Reply is given to every recipient, an exception is raised, a function is called. `by_domain` makes the
    recipients' domain the lane's destination.

    Attributes:
        attempts: every envelope and attempt, in order.
    """

    def __init__(self, *script: Answer, by_domain: bool = False) -> None:
        self._script = list(script) or [Reply(code=250)]
        self._by_domain = by_domain
        self.attempts: list[tuple[Envelope, Attempt]] = []
        self._seen = Event()

    def start(self) -> None: ...

    def drain(self, grace_s: float) -> bool:  # noqa: ARG002 - the contract's signature
        return True

    def stop(self) -> None: ...

    def health(self) -> Health:
        return Health()

    def attempt(self, envelope: Envelope, attempt: Attempt) -> Mapping[int, Reply]:
        self.attempts.append((envelope, attempt))
        self._seen.set()
        answer = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, Reply):
            return dict.fromkeys((recipient.number for recipient in envelope.recipients), answer)
        return answer(envelope, attempt)

    def destination(self, envelope: Envelope) -> str:
        return domain_of(envelope.recipients[0].address) if self._by_domain else ""

    def wait_for(self, attempts: int, timeout_s: float = 60.0) -> None:
        """Block until this many attempts were made in all. Raises AssertionError after `timeout_s`."""
        while len(self.attempts) < attempts:
            self._seen.clear()
            if not self._seen.wait(timeout_s):
                raise AssertionError(f"{len(self.attempts)} attempts instead of {attempts} after {timeout_s} s")
