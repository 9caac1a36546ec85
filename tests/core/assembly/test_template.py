"""What `mdacore init` writes."""

import re

import pytest

from mdacore import ConfigError
from mdacore.assembly import make_plan, write_template

UNFINISHED = """
import attrs
from mdacore import PolicyParts, Provider, hookimpl
from fake_parts import Inert

@attrs.frozen(kw_only=True)
class Config:
    needed: str = attrs.field(metadata={"help": "What it cannot do without."})

class Policy(Inert):
    def parts(self):
        return PolicyParts(queue_policy=print)

@hookimpl
def mdacore_policies():
    yield Provider(kind="unfinished", config=Config, build=Policy, api=1)
"""


class TestWriteTemplate:
    def test_file_means_the_same_as_none(self, options, plan_of):
        text = write_template(options())

        assert make_plan(options()) == plan_of(text, plugins=None)

    def test_file_with_its_defaults_uncommented_still_means_the_same(self, options, plan_of):
        text = write_template(options())

        uncommented = re.sub(r"(?m)^# (\w+ = (?!\.\.\.))", r"\1", text)

        assert uncommented.count("\n#") < text.count("\n#") - 10
        assert make_plan(options()) == plan_of(uncommented, plugins=None)

    def test_environment_is_not_written_into_it(self, options):
        environ = {"MDACORE__RELAYS__SINK__PATH": "elsewhere"}

        assert write_template(options()) == write_template(options(environ=environ))

    def test_help_and_choices_stand_above_each_key(self, options):
        text = write_template(options())

        assert '# Where it listens.\n# listen = ["127.0.0.1:2525"]\n' in text
        assert 'or 554. One of: defer, accept,\n# reject.\n# on_error = "defer"\n' in text

    def test_optional_table_can_be_uncommented_whole(self, options, plan_of):
        text = write_template(options())

        block = text[text.index("#   [edges.fake.tls]") :].partition("\n\n")[0].replace("#   ", "")

        assert block == (
            "[edges.fake.tls]\n# The certificate chain.\ncertificate = ...  # must be set\n"
            '# One of: off, starttls, implicit.\nmode = "starttls"'
        )
        block = block.replace("...", '"/dev/null"')
        text = text.replace("\n\n\n# Queues", f"\n\n{block}\n\n# Queues", 1)
        assert "starttls" == plan_of(text, plugins=None).settings.edges["fake"].config.tls.mode

    def test_key_without_a_default_is_to_be_filled_in(self, options, plan_of, install):
        install("broken_unfinished", UNFINISHED)

        text = write_template(options(plugins=[*options().plugins, "broken_unfinished"]))

        assert "# What it cannot do without.\n# needed = ...  # must be set\n" in text
        assert plan_of(text.replace("# needed = ...", 'needed = "x"'), plugins=None)

    def test_no_line_is_wider_than_a_terminal_but_for_values(self, options):
        assert all(len(line) <= 100 for line in write_template(options()).splitlines() if line.startswith("# "))

    @pytest.mark.parametrize(
        ("plugins", "problem"),
        [
            (("fake_edge",), "storages: nothing keeps the mail: name a plugin that offers storages"),
            (("no_such",), "--plugins: plugins: no plugin 'no_such' is installed"),
            ((), "--plugins: plugins: no plugin is named"),
        ],
    )
    def test_choice_that_cannot_work_is_refused(self, options, plugins, problem):
        with pytest.raises(ConfigError) as caught:
            write_template(options(plugins=plugins))

        assert str(caught.value).startswith(problem)
