"""What a configuration says of notices: every problem with its key, before anything is started."""

from __future__ import annotations

import os

import pytest

from mdacore import ConfigError
from mdacore.assembly import Assembly, render_plan
from mdacore.queue import Kind, NoticeRules, default_texts

TEXT = """\
[edges.mx]
queue = "main"
[queues.main]
storage = "spool"
relay = "local"
{main}
[queues.bounces]
storage = "{bounces}"
relay = "far"
[storages.spool]
path = "a"
[storages.other]
path = "b"
[relays.local]
[relays.far]
"""


@pytest.fixture
def plan(plan_of):
    def make(main="", bounces="spool"):
        return plan_of(TEXT.format(main=main, bounces=bounces))

    return make


@pytest.fixture
def problems(plan):
    def of(main, **given):
        with pytest.raises(ConfigError) as caught:
            plan(main, **given)
        return [f"{problem.key}: {problem.text}" for problem in caught.value.problems]

    return of


@pytest.fixture
def texts(tmp_path):
    """Write a file of words; gives the lines that name it as the text for failures."""

    def write(octets):
        (tmp_path / "failed.txt").write_bytes(octets)
        return f'notice_texts.failed = "{tmp_path / "failed.txt"}"'

    return write


class TestQueue:
    def test_one_that_is_none_is_noted(self, problems):
        expected = "queues.main.notice_queue: there is no [queues.bonces]; did you mean 'bounces'?"
        assert [expected] == problems('notice_queue = "bonces"')

    def test_one_in_another_storage_is_noted(self, problems):
        """Design §5: a separate queue for notices must use the same storage."""
        expected = (
            "queues.main.notice_queue: bounces is in storage other, and main in spool: "
            "a notice and what it tells of are stored in one step"
        )
        assert [expected] == problems('notice_queue = "bounces"', bounces="other")

    def test_it_is_wired_with_its_routes(self, plan):
        wiring = Assembly.build(plan('notice_queue = "bounces"')).queues["queues.main"]._wiring

        assert ("bounces", ["far"]) == (wiring.notice_queue, [route.relay for route in wiring.notice_routes])
        assert {"local", "far"} == set(wiring.relays)

    def test_a_plan_shows_it(self, plan):
        text = render_plan(plan('notice_queue = "bounces"'))

        assert "notices by     queue bounces" in text
        assert "not used       storages.other\n" in text


class TestRules:
    def test_left_out_they_are_the_defaults(self, plan):
        wiring = Assembly.build(plan()).queues["queues.main"]._wiring

        assert NoticeRules(receivers="everyone", delay_warning_s=14_400.0, postmaster="") == wiring.notice_rules
        assert default_texts() == wiring.notice_texts

    def test_they_are_as_they_are_set(self, plan):
        main = 'notices_to = "authenticated"\ndelay_warning_s = 0\npostmaster = "boss@example.com"'
        wiring = Assembly.build(plan(main)).queues["queues.main"]._wiring

        expected = NoticeRules(receivers="authenticated", delay_warning_s=0.0, postmaster="boss@example.com")
        assert expected == wiring.notice_rules

    @pytest.mark.parametrize("address", ["boss", "boss@", "@example.com", "a b@example.com", "a@b\\u0000"])
    def test_a_postmaster_is_an_address(self, problems, address):
        (problem,) = problems(f'postmaster = "{address}"')

        assert problem.endswith("is not an address like postmaster@example.com")


class TestTexts:
    def test_a_file_replaces_the_words_of_its_kind_only(self, plan, texts):
        lines = texts(b"Subject: Pech gehabt\n\nGr\xc3\xbc\xc3\x9fe! ${recipients}\n")

        words = plan(lines).settings.queues["main"].notice_texts

        assert ("Pech gehabt", "Grüße! ${recipients}\n") == (words[Kind.FAILED].subject, words[Kind.FAILED].body)
        assert default_texts()[Kind.DELAYED] == words[Kind.DELAYED]

    def test_a_relative_path_is_under_the_state_folder(self, plan, tmp_path):
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / "late.txt").write_text("Late: ${recipients}")

        words = plan('notice_texts.delayed = "late.txt"').settings.queues["main"].notice_texts

        assert "Late: ${recipients}" == words[Kind.DELAYED].body

    @pytest.mark.parametrize(
        ("octets", "problem"),
        [
            (b"Dear ${name}", "${name} is no field; there are ${arrived}, ${hostname}, "),
            (b"5$", "a $ is neither that of a field like ${recipients} nor written twice"),
            (b"\xff", "it is not UTF-8"),
            (b"", "the text is empty"),
            (b"x" * 65_537, "it is longer than 65536 octets"),
        ],
    )
    def test_what_is_wrong_with_a_file_is_noted_with_its_key(self, problems, texts, tmp_path, octets, problem):
        (found,) = problems(texts(octets))

        assert found.startswith(f"queues.main.notice_texts.failed: {tmp_path}/failed.txt: {problem}")

    def test_what_is_no_file_is_noted(self, problems, texts, tmp_path):
        lines = texts(b"")
        (tmp_path / "failed.txt").unlink()
        assert [f"queues.main.notice_texts.failed: {tmp_path}/failed.txt: No such file or directory"] == problems(lines)

        os.mkfifo(tmp_path / "failed.txt")
        assert [f"queues.main.notice_texts.failed: {tmp_path}/failed.txt: not a file"] == problems(lines)

    def test_a_kind_that_is_none_is_noted(self, problems):
        (found,) = problems('notice_texts.fialed = "x"')

        assert found == "queues.main.notice_texts.fialed: unknown key; did you mean 'failed'?"
