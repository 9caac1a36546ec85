"""The service: a running assembly; signals, the order of start and stop."""

from mdacore.service.lifecycle import Service
from mdacore.service.serve import serve

__all__ = ["Service", "serve"]
