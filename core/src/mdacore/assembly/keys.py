"""The fields of a configuration class, as the keys of a table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs


@attrs.frozen(kw_only=True)
class Key:
    """One key.

    Attributes:
        name: as a configuration writes it: the field's alias, so that ``_pool`` is the key ``pool``.
        type: resolved.
        is_secret: the field has ``repr=False``: its value is never shown.
        field: where it came from.
    """

    name: str
    type: Any
    help: str
    is_required: bool
    is_secret: bool
    field: attrs.Attribute[Any]

    @property
    def has_plain_default(self) -> bool:
        """There is a default, and it can be known without the other keys."""
        return not self.is_required and not getattr(self.field.default, "takes_self", False)

    @property
    def default(self) -> Any:
        """The default; None where there is no plain one."""
        if not self.has_plain_default:
            return None
        default: Any = self.field.default
        return default.factory() if hasattr(default, "takes_self") else default


def keys_of(cls: Any) -> Sequence[Key]:
    """The keys of an attrs class, in its order.

    Raises:
        NameError: an annotation names what cannot be found when the class is used.
    """
    return [
        Key(
            name=field.alias or field.name,
            type=field.type,
            help=field.metadata.get("help", ""),
            is_required=field.default is attrs.NOTHING,
            is_secret=field.repr is False,
            field=field,
        )
        for field in attrs.fields(attrs.resolve_types(cls))
        if field.init
    ]
