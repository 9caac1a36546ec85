"""For tests of what a crash leaves: a file system in memory that forgets what was not synced. No gevent, no pytest."""

from mdacore_storage_disk.testing.volatile import VolatileFs

__all__ = ["VolatileFs"]
