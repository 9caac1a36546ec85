"""Fake plugins on an entry-point path, and options and plans made with them."""

import sys
from pathlib import Path

import pytest

from mdacore.assembly import Options, make_plan

SITE = Path(__file__).parent / "site"
FAKES = ("fake_edge", "fake_storage", "fake_policy", "fake_relay")


@pytest.fixture(autouse=True)
def fake_site(monkeypatch):
    """Install the fake plugins for one test."""
    monkeypatch.syspath_prepend(str(SITE))
    yield SITE
    for name in [name for name in sys.modules if name.startswith(("fake_", "broken_"))]:
        del sys.modules[name]


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution with one plugin, for one test: ``install("broken_x", "raise ValueError")``."""
    folder = tmp_path / "site-packages"

    def install_plugin(name, source, *, distribution=None, version="2.1"):
        distribution = distribution or name.replace("_", "-")
        info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[mdacore]\n{name} = {name}\n")
        (folder / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(str(folder))

    return install_plugin


@pytest.fixture
def options(tmp_path):
    """Options with the fake plugins, an empty environment and a state folder that does not exist yet."""

    def make(**changes):
        given = {"plugins": FAKES, "state": tmp_path / "state", "environ": {}, **changes}
        return Options(**given)

    return make


@pytest.fixture
def plan_of(options, tmp_path):
    """Make a plan of the text of a file."""

    def make(text, **changes):
        file = tmp_path / "mda.toml"
        file.write_text(text)
        return make_plan(options(config=file, **changes))

    return make


GOOD = """\
[edges.mx]
[queues.main]
storage = "spool"
relay = "local"
[storages.spool]
[relays.local]
"""


@pytest.fixture
def good():
    """The text of a small configuration that works."""
    return GOOD
