"""What a user can meet is documented: events, configuration keys, command-line options, plugins."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import attrs
import click
import pytest

from mdacore import events
from mdacore.assembly import discover
from mdacore.assembly.config import LogKeys, NoticeTextKeys, QueueKeys, RetryForKeys, RouteKeys, ServiceKeys
from mdacore.assembly.roles import KEYS
from mdacore.cli import cli

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(path.name for path in (ROOT / "plugins").iterdir() if (path / "pyproject.toml").exists())


CORE_TABLES = [LogKeys, NoticeTextKeys, QueueKeys, RetryForKeys, RouteKeys, ServiceKeys, *KEYS.values()]


def constants(module):
    return {value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)}


def in_backticks(path):
    return set(re.findall(r"(?<!`)`([^`\n]+)`(?!`)", (ROOT / path).read_text()))


class TestEvents:
    def test_every_event_of_the_core_stands_in_the_reference_and_no_other(self):
        documented = re.findall(
            r"^\| `([a-z]+\.[a-z_]+)` \|", (ROOT / "docs/reference/log-events.md").read_text(), re.M
        )

        assert sorted(constants(events)) == sorted(documented)

    @pytest.mark.parametrize("plugin", PLUGINS)
    def test_every_event_of_a_plugin_stands_in_its_readme(self, plugin):
        if not (ROOT / f"plugins/{plugin}/src/mdacore_{plugin}/events.py").exists():
            return
        own = importlib.import_module(f"mdacore_{plugin}.events")

        assert constants(own) <= in_backticks(f"plugins/{plugin}/README.md")

    def test_every_event_is_an_area_and_what_happened(self):
        assert all(re.fullmatch(r"[a-z]+\.[a-z_]+", event) for event in constants(events))


class TestConfiguration:
    @pytest.mark.parametrize("table", CORE_TABLES)
    def test_every_key_of_the_core_stands_in_the_reference_and_has_a_help_text(self, table):
        keys = attrs.fields(table)

        assert {key.name for key in keys} <= in_backticks("docs/reference/configuration.md")
        assert [] == [key.name for key in keys if not key.metadata.get("help")]

    @pytest.mark.parametrize("plugin", PLUGINS)
    def test_every_key_of_a_plugin_stands_in_its_readme_and_has_a_help_text(self, plugin):
        (found,) = discover([plugin]).plugins
        fields = [
            field
            for offered in found.providers.values()
            for provider in offered
            for field in attrs.fields(provider.config)
        ]

        assert {field.name for field in fields} <= in_backticks(f"plugins/{plugin}/README.md")
        assert [] == [field.name for field in fields if not field.metadata.get("help")]

    @pytest.mark.parametrize("plugin", PLUGINS)
    def test_every_plugin_stands_in_the_readme(self, plugin):
        assert plugin in in_backticks("README.md")


class TestCommandLine:
    def test_every_command_and_option_stands_in_the_reference(self):
        documented = (ROOT / "docs/reference/command-line.md").read_text()

        missing = [word for word in words_of(cli, "mdacore") if word not in documented]

        assert [] == missing


def words_of(command: click.Command, path: str) -> list[str]:
    """The command lines and options that a user can type."""
    words = [path]
    words += [
        opt for param in command.params if isinstance(param, click.Option) for opt in param.opts if opt != "--help"
    ]
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            words += words_of(inner, f"{path} {name}")
    return words
