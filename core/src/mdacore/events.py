"""The names of the core's log events, ``<area>.<past_tense>``. A plugin keeps its own in a file of this name.

Every event stands in docs/reference/log-events.md with its fields; a test compares the two.
"""

PLUGIN_FAILED = "plugin.failed"
PLUGIN_OVERRAN = "plugin.overran"
PLUGIN_SWITCHED_OFF = "plugin.switched_off"
PLUGIN_SWITCHED_ON = "plugin.switched_on"

QUEUE_ACCEPTED = "queue.accepted"
QUEUE_ACCEPT_UNKNOWN = "queue.accept_unknown"
QUEUE_BOUNCED = "queue.bounced"
QUEUE_CLAIM_FAILED = "queue.claim_failed"
QUEUE_CLAIM_LOST = "queue.claim_lost"
QUEUE_DEFERRED = "queue.deferred"
QUEUE_DELIVERED = "queue.delivered"
QUEUE_DISCARDED = "queue.discarded"
QUEUE_HELD = "queue.held"
QUEUE_READ_FAILED = "queue.read_failed"
QUEUE_REFUSED = "queue.refused"
QUEUE_SETTLE_FAILED = "queue.settle_failed"

SERVICE_BLOCKED = "service.blocked"
SERVICE_DRAINED = "service.drained"
SERVICE_DRAINING = "service.draining"
SERVICE_PRIVILEGES_DROPPED = "service.privileges_dropped"
SERVICE_PRIVILEGES_KEPT = "service.privileges_kept"
SERVICE_SPAWN_HELPER_FAILED = "service.spawn_helper_failed"
SERVICE_SPAWN_HELPER_STARTED = "service.spawn_helper_started"
SERVICE_STARTED = "service.started"
SERVICE_STOPPED = "service.stopped"
SERVICE_STOP_FAILED = "service.stop_failed"
SERVICE_UNBLOCKED = "service.unblocked"
