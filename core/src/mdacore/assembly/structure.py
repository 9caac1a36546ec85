"""From plain tables to the attrs classes of the core and the plugins: all that is wrong in a table at once.

How strictly each type is read is in `keytypes`; what the keys are called and what they mean is the classes' business.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import attrs
from cattrs import AttributeValidationNote, ClassValidationError, Converter, IterableValidationNote
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError

from mdacore.assembly.keys import Key, keys_of
from mdacore.assembly.keytypes import Hook, make_converter
from mdacore.assembly.tree import KeyPath
from mdacore.assembly.wording import misfit, suggest
from mdacore.words import printable

T = TypeVar("T")
Mistake = tuple[KeyPath, str]


class Mistakes(Exception):
    """What is wrong in one table: paths relative to it, and what to say about each."""

    def __init__(self, mistakes: Collection[Mistake]) -> None:
        self.mistakes = mistakes
        super().__init__(f"{len(mistakes)} mistakes")


class Structurer:
    """Reads tables into classes."""

    def __init__(self) -> None:
        self._converter = make_converter()
        self._converter.register_structure_hook_factory(attrs.has, _class_hook)

    def read(self, cls: type[T], table: object, *, other_keys: Collection[str] = ()) -> T:
        """One table as an instance of `cls`; `other_keys` are those that were taken out before, for suggestions.

        Raises:
            Mistakes: all that is wrong.
            Exception: the code of the class failed, as it did.
        """
        try:
            return self._converter.structure(table, cls)
        except (ValueError, ExceptionGroup) as error:
            raise Mistakes(list(_mistakes(error, (), other_keys))) from error


def _class_hook(cls: Any, converter: Converter) -> Hook:
    keys = keys_of(cls)

    def structure(value: object, _: object) -> Any:
        if not isinstance(value, dict):
            raise misfit("a table", value)
        values: dict[str, Any] = {}
        errors: list[Exception] = []
        for key in keys:
            try:
                if key.name in value or key.is_required:
                    values[key.name] = converter.structure(value[key.name], key.type)
            except (ValueError, KeyError, ExceptionGroup) as error:
                errors.append(_noted(error, key))
        if unknown := value.keys() - {key.name for key in keys}:
            errors.append(ForbiddenExtraKeysError("", cls, unknown))
        return _construct(cls, values, errors, given=value.keys())

    return structure


def _construct(cls: Any, values: Mapping[str, Any], errors: Sequence[Exception], *, given: Collection[str]) -> Any:
    if errors:
        raise ClassValidationError("", [*errors, *_validator_errors(cls, values, given)], cls)
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:
        raise ClassValidationError("", _validator_errors(cls, values, given) or [error], cls) from error


def _validator_errors(cls: Any, values: Mapping[str, Any], given: Collection[str]) -> list[Exception]:
    """What each validator says by itself: a constructor stops at the first, and asks none if a value is missing."""
    instance = object.__new__(cls)
    for key in keys_of(cls):
        if key.name in values:
            object.__setattr__(instance, key.field.name, values[key.name])
        elif key.name not in given and key.has_plain_default:
            object.__setattr__(instance, key.field.name, key.default)
    return [error for key in keys_of(cls) if (error := _validator_error(instance, key)) is not None]


def _validator_error(instance: Any, key: Key) -> Exception | None:
    field = key.field
    if field.validator is None or field.converter is not None or not hasattr(instance, field.name):
        return None
    try:
        field.validator(instance, field, getattr(instance, field.name))
    except (ValueError, TypeError) as error:
        return _noted(error, key)
    except AttributeError:
        return None  # it compares with a key that could not be read, and that has been noted
    return None


def _noted(error: Exception, key: Key) -> Exception:
    if key.is_secret and not isinstance(error, KeyError):
        error = ValueError("cannot be used; its value is a secret and not shown")
    error.add_note(AttributeValidationNote("", key.name, key.type))
    return error


def _mistakes(error: Exception, path: KeyPath, other_keys: Collection[str]) -> Iterator[Mistake]:
    path = (*path, *_step(error))
    if isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            yield from _mistakes(inner, path, () if _step(inner) else other_keys)
    elif isinstance(error, ForbiddenExtraKeysError):
        known = sorted({*other_keys, *(key.name for key in keys_of(error.cl))})
        for key in sorted(error.extra_fields):
            yield (*path, key), f"unknown key{suggest(key, known)}"
    elif isinstance(error, KeyError):
        yield path, "is missing and has no default"
    else:
        sentence = error.args[0] if error.args else error  # attrs' validators add objects after it
        yield path, printable(str(sentence))


def _step(error: Exception) -> KeyPath:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return (note.name,)
        if isinstance(note, IterableValidationNote):
            return (note.index,)
    return ()
