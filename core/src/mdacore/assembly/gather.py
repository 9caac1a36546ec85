"""The first half of reading a configuration: sources merged into one tree, and the plugins that it names loaded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import attrs

from mdacore.assembly.config import INSTANCE_TABLES
from mdacore.assembly.defaults import adapt_proxies, default_tables
from mdacore.assembly.discovery import Discovery, discover, installed, name_of
from mdacore.assembly.settings import Options
from mdacore.assembly.sources import Override, apply, from_environment, from_mapping, from_options, read_file
from mdacore.assembly.tree import Report, Tree
from mdacore.assembly.wording import did_you_mean, show, suggest


@attrs.frozen(kw_only=True)
class Gathered:
    """What there is to read.

    Attributes:
        is_default: no table of an instance was given, so that the tables are those that the plugins mean by default.
    """

    tree: Tree
    discovery: Discovery
    is_default: bool

    @property
    def is_complete(self) -> bool:
        """Every plugin that is named could be loaded: what is missing now is not offered by any of them."""
        return bool(self.discovery.plugins) and not self.discovery.rejected and not self.discovery.unknown


def gather(options: Options, report: Report) -> Gathered:
    """Read the sources and load the plugins; what is wrong is noted.

    Raises:
        ConfigError: there is a file, but it cannot be read, so that nothing else can be said.
    """
    tree = report.tree = _base(options)
    overrides = [*from_environment(options.environ, report), *from_options(options.overrides, report)]
    if options.plugins is not None:
        names = [item if isinstance(item, str) else name_of(item) for item in options.plugins]
        overrides.append(
            Override(path=("plugins",), value=names, origin="--plugins" if options.mapping is None else "mapping")
        )
    apply([override for override in overrides if override.path[0] == "plugins"], tree, report)
    discovery = _load(tree.data.get("plugins"), options.plugins, report)
    is_default = not any(table in tree.data for table in INSTANCE_TABLES)
    if is_default:
        tree.data.update(default_tables(discovery, report))
    known = {table: tree.names(table) for table in INSTANCE_TABLES}
    apply([override for override in overrides if override.path[0] != "plugins"], tree, report)
    _drop_misnamed(known, report)
    if is_default:
        adapt_proxies(tree)
    return Gathered(tree=tree, discovery=discovery, is_default=is_default)


def _base(options: Options) -> Tree:
    if options.mapping is not None:
        return from_mapping(options.mapping)
    return read_file(options.config) if options.config is not None else Tree()


def _load(named: object, given: Sequence[str | object] | None, report: Report) -> Discovery:
    if named is None or named == []:
        cure = "`mdacore plugins` lists what is installed"
        report.add(("plugins",), f"no plugin is named, here or with --plugins; {cure}")
    elif not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        report.add(("plugins",), f"expected a list of names, got {show(named)}")
        named = []
    discovery = discover(given if given is not None else named or ())
    names = [candidate.name for candidate in installed()] if discovery.unknown else []
    for name in discovery.unknown:
        pip = f"pip install mdacore-{name.replace('_', '-')}"
        hint = did_you_mean(name, names)
        report.add(("plugins",), f"no plugin {name!r} is installed{hint}{' Or try' if hint else '; try'}: {pip}")
    for rejected in discovery.rejected:
        report.add(("plugins",), f"{rejected.label} is rejected: {rejected.reason}")
    return discovery


def _drop_misnamed(known: Mapping[str, Collection[str]], report: Report) -> None:
    """An override that names no instance is a slip of the pen, unless it says what kind the new one is of."""
    tree = report.tree
    for table, names in known.items():
        for name in [name for name in tree.names(table) if name not in names]:
            made_by = ("storage", "proxy") if table == "queues" else ("kind",)
            if not any(tree.has((table, name, key)) for key in made_by):
                origin = next(text for path, text in tree.origins.items() if path[:2] == (table, name))
                report.add((table, name), f"there is no [{table}.{name}]{suggest(name, names)}", origin=origin)
                del tree.data[table][name]
