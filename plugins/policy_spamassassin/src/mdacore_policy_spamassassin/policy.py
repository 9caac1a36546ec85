"""The policy itself: which messages are scanned, and what a verdict or the lack of one does to a message.

Invariant: the body, and every field that is not named in the configuration or written here, stays as it was, byte for
byte; a message without a verdict never looks like one that was found clean.
"""

from __future__ import annotations

from collections.abc import Sequence

from mdacore import (
    Attempt,
    ComponentFailure,
    Content,
    Context,
    Envelope,
    Health,
    PolicyParts,
    Rejection,
    Reply,
    Status,
)
from mdacore_policy_spamassassin import events
from mdacore_policy_spamassassin.client import ScanFailed, SpamdClient
from mdacore_policy_spamassassin.config import SpamAssassinConfig, spamd_address
from mdacore_policy_spamassassin.fields import FAILED, TOO_LARGE, WRITTEN, with_verdict, without_fields
from mdacore_policy_spamassassin.spamc import Scan

# RFC 3463 §3.8; the causes behind them are in the log.
NOT_SCANNED = Reply(code=451, enhanced="4.7.1", text="Message could not be checked, try again later")
IS_SPAM = Reply(code=550, enhanced="5.7.1", text="Message refused as spam")


class SpamAssassinPolicy:
    """A queue policy or a relay policy, as configured; it never splits or drops a message."""

    def __init__(self, config: SpamAssassinConfig, context: Context) -> None:
        self._config = config
        self._fields_to_remove = (*WRITTEN, *config.remove_fields)
        self._address = spamd_address(config, context)
        self._client = SpamdClient(
            self._address, user=config.user, timeout_s=config.timeout_s, concurrency=config.concurrency
        )
        self._clock = context.clock
        self._log = context.log
        self._trouble = ""

    def start(self) -> None:
        """Nothing to acquire; spamd may well start later."""

    def drain(self, grace_s: float) -> bool:  # noqa: ARG002 - the contract's signature
        """Those who ask for scans are drained first, and wait for them; so nothing is left to wait for here."""
        return self._client.in_hand == 0

    def stop(self) -> None:
        """Nothing to release: a connection belongs to the greenlet that asked, and is closed with it."""

    def health(self) -> Health:
        """Degraded from a scan that failed to the next that does not."""
        facts = {"address": str(self._address), "scans_in_hand": self._client.in_hand}
        return Health(status=Status.DEGRADED if self._trouble else Status.OK, reason=self._trouble, facts=facts)

    def parts(self) -> PolicyParts:
        """It takes part at one point only, or each message would be scanned twice."""
        if self._config.at == "relay":
            return PolicyParts(relay_policy=self.apply_before_attempt)
        return PolicyParts(queue_policy=self.apply)

    def apply(self, envelope: Envelope) -> Sequence[Envelope]:
        """The envelope with spamd's verdict on top. Blocks for a scan, and on a disk when the body is a file.

        Raises:
            Rejection: its score is `reject_score` or more.
            ComponentFailure: there is no verdict, and failures are not to be passed on: 451 4.7.1, unless `on_error`
                says something else.
        """
        return (envelope.with_content(self._checked(envelope.content)),)

    def apply_before_attempt(self, envelope: Envelope, attempt: Attempt) -> Envelope:  # noqa: ARG002 - the contract's
        """The same, for one attempt."""
        return envelope.with_content(self._checked(envelope.content))

    def _checked(self, received: Content) -> Content:
        content = without_fields(received, self._fields_to_remove)
        size_bytes = content.size_bytes
        if size_bytes > self._config.max_scan_bytes:
            self._log.info(events.SKIPPED, size_bytes=size_bytes, limit_bytes=self._config.max_scan_bytes)
            return content.prepend(TOO_LARGE)
        try:
            scan = self._scan(content, size_bytes)
        except ScanFailed as failure:
            return self._without_verdict(content, failure, size_bytes)
        if self._config.reject_score is not None and scan.score >= self._config.reject_score:
            raise Rejection(IS_SPAM)
        return with_verdict(content, scan)

    def _scan(self, content: Content, size_bytes: int) -> Scan:
        began = self._clock.monotonic()
        scan = self._client.scan(content)
        self._trouble = ""
        self._log.info(
            events.SCANNED,
            is_spam=scan.is_spam,
            score=scan.score,
            required=scan.required,
            symbol_count=len(scan.symbols),
            size_bytes=size_bytes,
            duration_s=round(self._clock.monotonic() - began, 3),
        )
        return scan

    def _without_verdict(self, content: Content, failure: ScanFailed, size_bytes: int) -> Content:
        """What goes on all the same, if anything may."""
        self._trouble = str(failure)
        is_tagged = self._config.tag_failures
        self._log.warning(events.SCAN_FAILED, cause=str(failure), is_tagged=is_tagged, size_bytes=size_bytes)
        if not is_tagged:
            # Not a Deferral: that is a verdict, which `on_error` has no say in.
            raise ComponentFailure(str(failure), reply=NOT_SCANNED) from failure
        return content.prepend(FAILED)
