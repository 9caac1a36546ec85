"""The names of this relay's log events. Each line carries `rcpt`, but for the last."""

DELIVERED = "maildir.delivered"
"""debug: the message is in `folder` as `file`."""

REFUSED = "maildir.refused"
"""info: the recipient fails for good, for this `cause`."""

FILLED = "maildir.filled"
"""info: the quota leaves no room for the message; the recipient fails or is deferred, as configured."""

DEFERRED = "maildir.deferred"
"""warning: the disk or the folder is at fault; `cause` is what the system said."""

OVERRAN = "maildir.overran"
"""warning: the attempt was broken off after `limit_s`; `missing` recipients have nothing yet."""
