"""Runs the contract suites against sound and broken components: each suite in a process of its own.

A module in here holds a class ``<Role>Suite`` that inherits a contract suite and makes `self.subject`; its `sound` is a
component that keeps all rules, its `broken` says for each rule, by the name of its test, who breaks it. Rules of the
suites named in `proven_elsewhere` are in another module's table.

The process apart is not for speed: what is broken leaks, hangs and blocks.
"""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import attrs
import pytest

ROOT = Path(__file__).resolve().parents[4]
SUITE_S = 600.0
OPTIONS = (
    *("-q", "--tb=short", "-p", "no:cacheprovider", "-o", "python_classes=*Suite"),
    # what one broken component leaves behind must not fail another one's test
    *("-W", "ignore::ResourceWarning", "-W", "ignore::pytest.PytestUnraisableExceptionWarning"),
)


def rules_of(suite: type) -> set[str]:
    """The names of its tests."""
    return {name for name in dir(suite) if name.startswith("test_")}


def is_suite(value: object) -> bool:
    """A class of this folder's modules; in the process that runs everything pytest collects none of them."""
    return isinstance(value, type) and value.__name__.endswith("Suite") and isinstance(vars(value).get("broken"), dict)


def suites_in(module: Any) -> list[Any]:
    return [value for value in vars(module).values() if is_suite(value)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if is_suite(metafunc.cls):  # in the process apart: a test of a suite
        suite, rule = metafunc.cls, metafunc.function.__name__
        subjects = {"sound": suite.sound} | ({"broken": suite.broken[rule]} if rule in suite.broken else {})
        metafunc.parametrize("subject", subjects.values(), ids=subjects, indirect=True)
    elif "rule" in metafunc.fixturenames:
        rows = [(suite.__name__, rule) for suite in suites_in(metafunc.module) for rule in sorted(suite.broken)]
        metafunc.parametrize(("suite", "rule"), rows, ids=["-".join(row) for row in rows])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the process apart: only the rules in the table, and the sound before the broken, which leave things behind."""
    suites = [item for item in items if isinstance(item, pytest.Function) and is_suite(item.cls)]
    if suites:
        items[:] = [item for item in suites if item.originalname in item.cls.broken]
        items.sort(key=lambda item: "broken" in re.split(r"[\[\]-]", item.name))


@pytest.fixture(autouse=True)
def subject(request: pytest.FixtureRequest) -> None:
    """What `self.subject` is while a suite's test runs."""
    if request.instance is not None and hasattr(request, "param"):
        request.instance.subject = request.param


@attrs.frozen
class Outcomes:
    """Which tests failed, by suite, rule and ``"sound"`` or ``"broken"``, with what was said; and the whole output."""

    failures: dict[tuple[str, str, str], str]
    output: str


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """What came of running the module's suites: once, however many workers its tests are given to."""
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if hasattr(request.config, "workerinput") else own
    report = folder / f"{request.path.stem}.xml"
    with report.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not report.exists():
            _run(request.path, suites_in(request.module), report)
    failures = {key: said for key, said in _cases(report) if said}
    return Outcomes(failures, report.with_suffix(".txt").read_text())


def _run(path: Path, suites: list[Any], report: Path) -> None:
    unfinished = report.with_suffix(".part")
    nodes = [f"{path}::{suite.__name__}" for suite in suites]
    command = [sys.executable, "-m", "pytest", *OPTIONS, f"--junitxml={unfinished}", *nodes]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SUITE_S, check=False)
    assert unfinished.exists(), run.stdout + run.stderr
    report.with_suffix(".txt").write_text(run.stdout + run.stderr)
    unfinished.rename(report)


def _cases(report: Path) -> Iterator[tuple[tuple[str, str, str], str]]:
    said: dict[tuple[str, str, str], str] = {}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - our own
        name = case.get("name", "")
        rule, *parameters = re.split(r"[\[\]-]", name)
        which = "sound" if "sound" in parameters else "broken"
        key = (case.get("classname", "").rpartition(".")[2], rule, which)
        failure = case.find("failure")
        error = case.find("error")
        found = failure if failure is not None else error
        said[key] = said.get(key, "") or ("" if found is None else found.get("message", "") or "failed")
    yield from said.items()


@pytest.fixture
def unbroken_rules(request: pytest.FixtureRequest) -> dict[str, set[str]]:
    """The rules of each suite that nobody in its table breaks, and the entries without a rule."""
    return {
        suite.__name__: (rules_of(suite) - rules_of(suite.proven_elsewhere)) ^ set(suite.broken)
        for suite in suites_in(request.module)
    }
