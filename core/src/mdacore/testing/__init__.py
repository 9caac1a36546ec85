"""The kit for plugin authors: contract suites, fakes that keep the contracts, and time that the test moves.

The names are imported when they are first used: a pytest run that uses none of them pays for none of them. Only the
contract suites need pytest; nothing in here patches the standard library.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mdacore.testing.assembled import AssembledService, assembled_service
    from mdacore.testing.clock import ManualClock
    from mdacore.testing.component_contract import ComponentContract
    from mdacore.testing.contexts import make_context, make_edge_context, running
    from mdacore.testing.dialogue import Dialogue, DialogueError, run_dialogue
    from mdacore.testing.durable_storage_contract import DurableStorageContract
    from mdacore.testing.edge_contract import EdgeContract
    from mdacore.testing.handoff import RecordingHandoff
    from mdacore.testing.kinds import DirectEdge, provide
    from mdacore.testing.leaks import no_leaks
    from mdacore.testing.leasing import LeasingStorage
    from mdacore.testing.leasing_storage_contract import LeasingStorageContract
    from mdacore.testing.logs import CapturedLog, LoggedEvent
    from mdacore.testing.memory import MemoryStorage
    from mdacore.testing.messages import content_of, make_attempt, make_envelope
    from mdacore.testing.peers import Peer, SessionPeer, SocketPeer
    from mdacore.testing.queue_policy_contract import QueuePolicyContract
    from mdacore.testing.relay import ScriptedRelay
    from mdacore.testing.relay_contract import DeliveringRelayContract, RelayContract
    from mdacore.testing.relay_policy_contract import RelayPolicyContract
    from mdacore.testing.storage_contract import StorageContract
    from mdacore.testing.validators_contract import ValidatorsContract

__all__ = [
    "AssembledService",
    "CapturedLog",
    "ComponentContract",
    "DeliveringRelayContract",
    "Dialogue",
    "DialogueError",
    "DirectEdge",
    "DurableStorageContract",
    "EdgeContract",
    "LeasingStorage",
    "LeasingStorageContract",
    "LoggedEvent",
    "ManualClock",
    "MemoryStorage",
    "Peer",
    "QueuePolicyContract",
    "RecordingHandoff",
    "RelayContract",
    "RelayPolicyContract",
    "ScriptedRelay",
    "SessionPeer",
    "SocketPeer",
    "StorageContract",
    "ValidatorsContract",
    "assembled_service",
    "content_of",
    "make_attempt",
    "make_context",
    "make_edge_context",
    "make_envelope",
    "no_leaks",
    "provide",
    "run_dialogue",
    "running",
]

_HOMES = {
    "assembled": ("AssembledService", "assembled_service"),
    "clock": ("ManualClock",),
    "component_contract": ("ComponentContract",),
    "contexts": ("make_context", "make_edge_context", "running"),
    "dialogue": ("Dialogue", "DialogueError", "run_dialogue"),
    "durable_storage_contract": ("DurableStorageContract",),
    "edge_contract": ("EdgeContract",),
    "handoff": ("RecordingHandoff",),
    "kinds": ("DirectEdge", "provide"),
    "leaks": ("no_leaks",),
    "leasing": ("LeasingStorage",),
    "leasing_storage_contract": ("LeasingStorageContract",),
    "logs": ("CapturedLog", "LoggedEvent"),
    "memory": ("MemoryStorage",),
    "messages": ("content_of", "make_attempt", "make_envelope"),
    "peers": ("Peer", "SessionPeer", "SocketPeer"),
    "queue_policy_contract": ("QueuePolicyContract",),
    "relay": ("ScriptedRelay",),
    "relay_contract": ("DeliveringRelayContract", "RelayContract"),
    "relay_policy_contract": ("RelayPolicyContract",),
    "storage_contract": ("StorageContract",),
    "validators_contract": ("ValidatorsContract",),
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
