"""The names of this storage's log events."""

STORAGE_AMENDED = "storage.amended"
STORAGE_ENTRY_QUARANTINED = "storage.entry_quarantined"
STORAGE_FAILED = "storage.failed"
STORAGE_LOADED = "storage.loaded"
STORAGE_OPENED = "storage.opened"
STORAGE_UPKEEP_FAILED = "storage.upkeep_failed"
