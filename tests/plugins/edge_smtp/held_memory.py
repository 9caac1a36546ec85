"""How many octets a live object keeps alive, itself included."""

from __future__ import annotations

import gc
import re
import sys
from types import BuiltinFunctionType, FunctionType, ModuleType

_CODE = (type, ModuleType, FunctionType, BuiltinFunctionType, re.Pattern)


def held_bytes(root: object) -> int:
    """The sizes of all that is reached from it, code left out."""
    size_bytes, seen, found = 0, {id(root)}, [root]
    while found:
        each = found.pop()
        size_bytes += sys.getsizeof(each)
        for other in gc.get_referents(each):
            if id(other) not in seen and not isinstance(other, _CODE):
                seen.add(id(other))
                found.append(other)
    return size_bytes
