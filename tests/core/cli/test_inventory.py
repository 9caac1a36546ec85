"""``mdacore plugins`` and ``mdacore version``."""

import json
import platform
import sys
from importlib import metadata


class TestPlugins:
    def test_kinds_are_listed_with_their_defaults(self, mdacore):
        status, output, errors = mdacore("plugins")

        lines = [line.split(maxsplit=3) for line in output.splitlines()]
        assert (0, "") == (status, errors)
        assert ["fake_storage", "fake-storage", "1.0", "storage: file (default), other"] in lines
        assert ["fake_pair", "fake-pair", "1.0", "relay: left, right"] in lines

    def test_rejected_plugin_is_listed_with_its_reason(self, mdacore, tmp_path, monkeypatch):
        info = tmp_path / "bad-3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad\nVersion: 3\n")
        (info / "entry_points.txt").write_text("[mdacore]\nbad = no_such_module\n")
        monkeypatch.syspath_prepend(str(tmp_path))

        output = mdacore("plugins")[1]

        (line,) = [line for line in output.splitlines() if line.startswith("bad ")]
        assert ["bad", "bad", "3", "rejected: ModuleNotFoundError: No module named 'no_such_module'"] == line.split(
            maxsplit=3
        )

    def test_json_is_one_object_a_line(self, mdacore):
        plugins = {facts["plugin"]: facts for facts in map(json.loads, mdacore("plugins", "--json")[1].splitlines())}

        assert {
            "plugin": "fake_pair",
            "distribution": "fake-pair",
            "version": "1.0",
            "kinds": [
                {"role": "relay", "kind": "left", "default": False},
                {"role": "relay", "kind": "right", "default": False},
            ],
        } == plugins["fake_pair"]

    def test_without_plugins_there_is_a_hint(self, mdacore, monkeypatch):
        monkeypatch.setattr(metadata, "distributions", lambda: iter(()))

        assert (0, "No plugins are installed; try: pip install mdacore-edge-smtp\n", "") == mdacore("plugins")


class TestVersion:
    def test_versions_of_all_parts_are_listed_without_importing_plugins(self, mdacore):
        status, output, errors = mdacore("version")

        lines = [line.split() for line in output.splitlines()]
        assert (0, "") == (status, errors)
        assert [
            ["mdacore", metadata.version("mdacore")],
            ["Python", platform.python_version()],
            ["gevent", metadata.version("gevent")],
        ] == lines[:3]
        assert ["fake_edge", "1.0"] in lines
        assert "fake_edge" not in sys.modules
