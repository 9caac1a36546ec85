"""What a configuration says of notices: the queue that sends them, and the operator's texts, read and proved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from mdacore.assembly.config import NoticeTextKeys, QueueKeys
from mdacore.assembly.references import check_name
from mdacore.assembly.tree import Report
from mdacore.queue import MAX_TEXT_BYTES, Kind, NoticeText, default_texts


def check_notice_queues(queues: Mapping[str, QueueKeys], report: Report) -> None:
    """Note a queue for notices that is none, or is in another storage: no step can be atomic over two."""
    for name, keys in queues.items():
        if keys.proxy or keys.notice_queue is None:
            continue
        path = ("queues", name, "notice_queue")
        check_name(report, path, "queues", keys.notice_queue)
        other = queues.get(keys.notice_queue)
        if other is not None and other.proxy:
            report.add(path, f"{keys.notice_queue} is a proxy queue, which stores nothing")
        elif other is not None and other.storage != keys.storage:
            text = f"{keys.notice_queue} is in storage {other.storage}, and {name} in {keys.storage}"
            report.add(path, f"{text}: a notice and what it tells of are stored in one step")


def read_texts(name: str, keys: QueueKeys, state_path: Path, report: Report) -> Mapping[Kind, NoticeText]:
    """The texts of a queue's notices; what is wrong with a file is noted, and the default in its place."""
    texts = dict(default_texts())
    for kind, path in _files(None if keys.proxy else keys.notice_texts):
        try:
            texts[kind] = NoticeText.parse(_read(state_path / path), texts[kind])
        except (OSError, ValueError) as error:
            report.add(("queues", name, "notice_texts", kind.value), f"{state_path / path}: {_reason(error)}")
    return texts


def _files(keys: NoticeTextKeys | None) -> Iterator[tuple[Kind, Path]]:
    for kind in Kind:
        path = None if keys is None else getattr(keys, kind.value)
        if path is not None:
            yield kind, path


def _read(path: Path) -> str:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError("not a file")
    with path.open("rb") as file:
        data = file.read(MAX_TEXT_BYTES + 1)
    if len(data) > MAX_TEXT_BYTES:
        raise ValueError(f"it is longer than {MAX_TEXT_BYTES} octets")
    return data.decode()


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(error.strerror if isinstance(error, OSError) else error)
