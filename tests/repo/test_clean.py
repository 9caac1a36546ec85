"""Nothing of a place or a person gets into the repository, and nothing that runs foreign code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def found(pattern: str, *files: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in tracked(*files)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if path != Path(__file__) and re.search(pattern, line)
    ]


def test_runtime_code_never_unpickles():
    """Case 71: a planted pickle is damage, not code."""
    assert [] == found(
        r"\b(pickle|marshal|shelve)\.|import (pickle|marshal|shelve)\b", "core/src/*.py", "plugins/*/src/*.py"
    )


def test_no_private_key_and_no_registry_address():
    assert [] == found(r"BEGIN [A-Z ]*PRIVATE KEY|https?://[^ ]*(pypi|registry|files\.pythonhosted)", "*")


def test_only_main_patches():
    """At the start of a line: the sentence that tells an embedder to patch is no call."""
    patching = found(r"^\s*(gevent\.)?monkey\.patch_\w+\(", "core/src/*.py", "plugins/*/src/*.py")

    assert ["core/src/mdacore/__main__.py"] == [line.partition(":")[0] for line in patching]


def test_plugins_import_only_what_the_core_exports():
    """Nothing private, and nothing below the packages that mdacore exports."""
    allowed = r"mdacore(\.(log|runtime|testing))?"
    imports = found(r"^\s*(from|import) mdacore\b(?!_)", "plugins/*/src/*.py")

    assert [] == [line for line in imports if not re.search(rf"(from|import) {allowed}( |$)", line)]


def test_plugins_never_import_each_other():
    crossing = [
        line
        for line in found(r"^\s*(from|import) mdacore_\w+", "plugins/*/src/*.py")
        if not re.search(rf"(from|import) mdacore_{line.split('/')[1]}\b", line)
    ]

    assert [] == crossing
