"""``mdacore queue recover``: what can be read of a damaged store, in a sound one.

The work is the storage's (`RecoverableStorage`), whoever wrote it; here is only the operator's side of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import click

from mdacore.cli.options import configuration_options
from mdacore.cli.queue.hands import become_owner, running_service
from mdacore.cli.queue.reading import built_storages, read_settings_of, storage_failure
from mdacore.cli.queue.wording import counted
from mdacore.cli.status import BAD_DATA, FAILED, TRY_AGAIN, CommandFailure
from mdacore.contracts import RecoverableStorage, Recovery
from mdacore.words import StorageError, printable

if TYPE_CHECKING:
    from mdacore.assembly import Settings

SHOWN_MAX = 100
"""Lines about single messages, where people read; programs get all."""


@click.command()
@configuration_options
@click.option("--storage", "only", default="", metavar="NAME", help="Only this storage.")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what could be saved.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")
def recover(*, only: str, dry_run: bool, as_json: bool, **options: Any) -> int:
    """Save what can be read of a damaged store, while the service is down.

    The damaged files are set aside and never removed. A store that is sound stays as it is.

    \b
    Status 0 = the stores are sound now, and nothing is lost,
    65 = something could not be saved whole, 1 = nothing could be done.
    """
    settings = read_settings_of(options)
    storages = _recoverable(settings, only)
    _refuse_beside_service(settings)
    become_owner(settings)
    is_whole = True
    for name, storage in storages.items():
        try:
            found = storage.recover(is_dry_run=dry_run)
        except StorageError as error:
            raise storage_failure(name, error, FAILED) from error
        lines = [_as_json(name, found)] if as_json else _lines(name, found, is_dry_run=dry_run)
        print(*lines, sep="\n", flush=True)
        is_whole = is_whole and not (found.lost or found.set_aside)
    return 0 if is_whole else BAD_DATA


def _recoverable(settings: Settings, only: str) -> Mapping[str, RecoverableStorage]:
    if only and only not in settings.storages:
        raise click.BadParameter(f"there is no storage {only!r}", param_hint="--storage")
    found: dict[str, RecoverableStorage] = {}
    for name, storage in built_storages(settings, "").items():
        if only not in ("", name):
            continue
        if isinstance(storage, RecoverableStorage):
            found[name] = storage
        else:
            print(f"storages.{name}: its kind has nothing to recover by command", file=sys.stderr)
    if not found:
        raise CommandFailure("no storage here can be recovered by command")
    return found


def _refuse_beside_service(settings: Settings) -> None:
    if running_service(settings) is not None:
        raise CommandFailure("the service runs: stop it first", TRY_AGAIN)


def _as_json(name: str, found: Recovery) -> str:
    facts = attrs.asdict(found, filter=lambda field, _: field.name not in ("set_aside", "lost", "kept_at"))
    pairs = {
        word: [{"what": what, "reason": why} for what, why in values]
        for word, values in (("set_aside", found.set_aside), ("lost", found.lost))
    }
    return json.dumps({"storage": name, **facts, **pairs, "kept_at": str(found.kept_at) if found.kept_at else None})


def _lines(name: str, found: Recovery, *, is_dry_run: bool) -> Iterator[str]:
    if not found.damage:
        yield f"storages.{name}: sound; nothing was changed"
        return
    yield f"storages.{name}: {printable(found.damage)}"
    yield f"  {counted(found.saved)} {'could be' if is_dry_run else 'was' if found.saved == 1 else 'were'} saved"
    for what, pairs in (("held, since a part of it is lost", found.set_aside), ("lost", found.lost)):
        for number, (which, why) in enumerate(pairs):
            if number == SHOWN_MAX:
                yield f"  and {len(pairs) - SHOWN_MAX} more; --json names them all"
                break
            yield f"  {printable(which)}: {what}: {printable(why)}"
    yield from (f"  {note}" for note in found.notes)
    if found.kept_at is not None:
        yield f"  The damaged files are in {found.kept_at}."
