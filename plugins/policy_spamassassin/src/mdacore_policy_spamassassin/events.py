"""The names of this policy's log events. Each line carries `size_bytes`; what they mean is in the README."""

SCANNED = "spam.scanned"
"""info: spamd gave its verdict: `is_spam`, `score`, `required`, `symbol_count`, and it took `duration_s`."""

SKIPPED = "spam.skipped"
"""info: the message is larger than `limit_bytes` and was not scanned."""

SCAN_FAILED = "spam.scan_failed"
"""warning: there is no verdict, for this `cause`; `is_tagged` says whether the message goes on, marked."""
