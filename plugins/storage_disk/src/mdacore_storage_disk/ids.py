"""QueueIds: the storage's tag, the number of the acceptance, and the branch of the message in it, as fixed-length text.

The messages of one `write` are the first branches of one number; the notices that follow from them are the next ones,
so a notice's id begins as its original's does. Sorted as text, ids are in the order of their numbers.

Invariant: `split(id_of(n, b)) == (n, b)`, and every other text is None: another storage's id, another spelling,
anything longer, shorter, with a slash or with a newline at its end.
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
BRANCH_CHARS: Final = 3
MAX_BRANCHES: Final = 32**BRANCH_CHARS
_VALUES: Final = {char: value for value, char in enumerate(ALPHABET)}


@attrs.frozen
class QueueIds:
    """The ids of one storage; `tag` is the first part of each."""

    tag: str

    @classmethod
    def of_store(cls, store_id: uuid.UUID) -> QueueIds:
        """The ids of the store with this UUID."""
        return cls(_text(store_id.int >> (128 - 5 * TAG_CHARS), TAG_CHARS))

    def id_of(self, number: int, branch: int) -> QueueId:
        """The id of one message of an acceptance."""
        return QueueId(self.tag + _text(number, NUMBER_CHARS) + _text(branch, BRANCH_CHARS))

    def split(self, text: str) -> tuple[int, int] | None:
        """The number and the branch; None if the text is not an id of this storage."""
        if len(text) != TAG_CHARS + NUMBER_CHARS + BRANCH_CHARS or not text.startswith(self.tag):
            return None
        number = 0
        for char in text[TAG_CHARS:]:
            value = _VALUES.get(char)
            if value is None:
                return None
            number = number * 32 + value
        return divmod(number, MAX_BRANCHES)


def _text(number: int, chars: int) -> str:
    return "".join([ALPHABET[number >> 5 * place & 31] for place in range(chars - 1, -1, -1)])
