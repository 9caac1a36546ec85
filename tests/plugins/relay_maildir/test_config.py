"""MaildirConfig and its check: what is known before anything is started."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mdacore import Context
from mdacore.log import get_log
from mdacore.testing import ManualClock
from mdacore_relay_maildir import MaildirConfig, mdacore_relays
from mdacore_relay_maildir.config import check


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(
        instance="relays.local",
        state_path=tmp_path,
        hostname="mx.example.com",
        clock=ManualClock(),
        log=get_log("relays.local"),
    )


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write everywhere: be nobody for a while."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


class TestConfig:
    @pytest.mark.parametrize("folder", ["../{local}", "{name}", "/{local}", "{extension}"])
    def test_bad_folder_is_refused(self, folder: str) -> None:
        with pytest.raises(ValueError, match="folder"):
            MaildirConfig(folder=folder)

    @pytest.mark.parametrize("workers", [0, -1, 257])
    def test_unreasonable_number_of_workers_is_refused(self, workers: int) -> None:
        with pytest.raises(ValueError, match="workers"):
            MaildirConfig(workers=workers)

    @pytest.mark.parametrize("number", [-1, 100_001])
    def test_unreasonable_number_of_open_maildirs_is_refused(self, number: int) -> None:
        with pytest.raises(ValueError, match="open_maildirs"):
            MaildirConfig(open_maildirs=number)

    @pytest.mark.parametrize("delimiter", ["/", "@", "a b", "\n", '"', "\\"])
    def test_delimiter_that_cannot_stand_in_an_address_is_refused(self, delimiter: str) -> None:
        with pytest.raises(ValueError, match="recipient_delimiter"):
            MaildirConfig(recipient_delimiter=delimiter)

    @pytest.mark.parametrize("name", ["INBOX", ".", "..", "../x", "a/b", ".Junk", "Junk.", "a..b", "a\x00", "x" * 255])
    def test_junk_folder_that_is_no_folder_in_a_maildir_is_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match="junk_folder"):
            MaildirConfig(junk_folder=name)

    @pytest.mark.parametrize("key", ["quota_bytes", "quota_messages", "create_subfolders"])
    def test_negative_amount_is_refused(self, key: str) -> None:
        with pytest.raises(ValueError, match=key):
            MaildirConfig(**{key: -1})

    def test_it_is_the_plugin_s_default_kind(self) -> None:
        (provider,) = mdacore_relays()

        assert ("maildir", True) == (provider.kind, provider.default)


class TestCheck:
    def test_folder_that_can_be_made_is_no_problem_and_is_not_made(self, context: Context) -> None:
        assert [] == list(check(MaildirConfig(path=Path("a/b/c")), context))
        assert [] == list(context.state_path.iterdir())

    def test_folder_that_is_there_is_no_problem(self, context: Context) -> None:
        (context.state_path / "maildirs").mkdir(mode=0o700)

        assert [] == list(check(MaildirConfig(), context))

    def test_file_in_its_place_is_a_problem(self, context: Context) -> None:
        (context.state_path / "maildirs").write_text("")

        problems = list(check(MaildirConfig(path=Path("maildirs/here")), context))

        assert ["path"] == [problem.key for problem in problems]
        assert "is not a folder" in problems[0].text

    def test_case_114_folder_that_everybody_may_write_is_a_problem(self, context: Context) -> None:
        (context.state_path / "maildirs").mkdir()
        (context.state_path / "maildirs").chmod(0o777)

        (problem,) = check(MaildirConfig(), context)

        assert "written by everybody" in problem.text

    def test_folder_that_may_not_be_written_is_a_problem(self, context: Context) -> None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o555)

            with unprivileged():
                (problem,) = check(MaildirConfig(path=Path(folder)), context)

        assert "may not write" in problem.text
