"""QueueIds: the integer of a message and the tag of its storage as fixed-length text.

Invariant: `decode(encode(n)) == n`, and every other text decodes to None: another storage's id, another spelling,
anything longer, shorter or with a newline at its end.
"""

from __future__ import annotations

import uuid
from typing import Final

import attrs

from mdacore import QueueId

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in one case: no letter that is taken for a digit, and no two ids that differ in case only."""

TAG_CHARS: Final = 4
NUMBER_CHARS: Final = 10
MAX_NUMBER: Final = 32**NUMBER_CHARS - 1

_PAIRS: Final = tuple(high + low for high in ALPHABET for low in ALPHABET)
_VALUES: Final = {char: value for value, char in enumerate(ALPHABET)}


@attrs.frozen
class QueueIds:
    """The ids of one storage; `tag` is the first part of each."""

    tag: str

    @classmethod
    def of_store(cls, store_id: uuid.UUID) -> QueueIds:
        """The ids of the store with this UUID."""
        return cls(_text(store_id.int >> (128 - 5 * TAG_CHARS), TAG_CHARS))

    def encode(self, number: int) -> QueueId:
        """The id of a message; `number` is from 0 to `MAX_NUMBER`. In the order of the numbers, the ids are sorted."""
        return QueueId(
            self.tag
            + _PAIRS[number >> 40]
            + _PAIRS[number >> 30 & 1023]
            + _PAIRS[number >> 20 & 1023]
            + _PAIRS[number >> 10 & 1023]
            + _PAIRS[number & 1023]
        )

    def decode(self, queue_id: str) -> int | None:
        """The number of a message; None if the text is not an id of this storage."""
        if len(queue_id) != TAG_CHARS + NUMBER_CHARS or not queue_id.startswith(self.tag):
            return None
        number = 0
        for char in queue_id[TAG_CHARS:]:
            value = _VALUES.get(char)
            if value is None:
                return None
            number = number * 32 + value
        return number


def _text(number: int, chars: int) -> str:
    return "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(chars)))
