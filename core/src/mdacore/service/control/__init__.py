"""Control: the socket by which an operator's command reaches the running service."""

from mdacore.service.control.client import ControlClient, NotRunning, RequestFailed
from mdacore.service.control.server import ControlSocket

__all__ = ["ControlClient", "ControlSocket", "NotRunning", "RequestFailed"]
