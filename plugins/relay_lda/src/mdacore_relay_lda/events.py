"""The names of this relay's log events. Each carries `rcpts` and `reply`, but for the last.

A failure carries how the process `ended` and its `output`, or the `cause` if there was no process.
"""

DELIVERED = "lda.delivered"
"""debug: the program took the message."""

REFUSED = "lda.refused"
"""info: the recipients fail for good."""

DEFERRED = "lda.deferred"
"""warning: the recipients are deferred."""

NOT_STARTED = "lda.not_started"
"""error: `program` could not be started; `error` is what the system said."""
