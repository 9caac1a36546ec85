"""The maildirs that `lda` and `maildir` count in, and each of the targets that deliver into them."""

from __future__ import annotations

import os
from pathlib import Path

import maildir
import pytest
from mdabench import machine, maildirs
from mdabench.mail import MAILBOXES, message, user
from mdabench.server import Failed

SMALL = maildir.Case(name="small", messages=150)


def deliver(folder: Path, *, number: int, size_bytes: int = 2000) -> None:
    (folder / user(number) / "new" / f"file{number}").write_bytes(b"x" * size_bytes)


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    folder = machine.place(tmp_path, "mail")
    maildirs.make(folder, uid=os.geteuid(), gid=os.getegid())
    return folder


class TestCount:
    def test_every_user_has_an_empty_maildir(self, mail):
        assert 0 == maildirs.count(mail)
        assert MAILBOXES == len(list(mail.glob("*/cur")))

    def test_rate_is_from_the_first_file_to_the_last(self, mail):
        for number in range(300):
            deliver(mail, number=number)

        times = [path.stat().st_ctime_ns for path in mail.glob("*/new/*")]
        expected = 299 / ((max(times) - min(times)) / 1e9)
        assert expected == pytest.approx(maildirs.rate(mail, messages=300, size_bytes=2048))

    @pytest.mark.parametrize("wanted", [1, 3])
    def test_another_number_of_files_is_a_failure(self, mail, wanted):
        deliver(mail, number=1)
        deliver(mail, number=2)

        with pytest.raises(Failed, match=f"2 messages are in the maildirs, and there should be {wanted}"):
            maildirs.rate(mail, messages=wanted, size_bytes=2048)

    def test_message_that_is_not_whole_is_a_failure(self, mail):
        deliver(mail, number=1)
        deliver(mail, number=2, size_bytes=1000)

        with pytest.raises(Failed, match="1 messages are not whole"):
            maildirs.rate(mail, messages=2, size_bytes=2048)


class TestPlaces:
    def test_place_is_new_each_time(self, tmp_path):
        """The same name would be the same part of the disk, with the files that the last run has deleted there."""
        machine.scatter(tmp_path)

        assert 5 == len({machine.place(tmp_path, "mail") for _ in range(5)})


class TestMessage:
    @pytest.mark.parametrize("size_bytes", [500, 2048, 50_000])
    def test_message_has_its_size_and_legal_lines(self, size_bytes):
        text = message(size_bytes)

        assert size_bytes == len(text)
        assert all(line.endswith(b"\r\n") and len(line) <= 80 for line in text.splitlines(keepends=True))


class TestTargets:
    """Each really delivers so many messages: a few, that is, and how fast does not matter here."""

    @pytest.mark.needs("cc")
    @pytest.mark.parametrize("side", [maildir.Mdacore(), maildir.Service()], ids=lambda side: side.name)
    def test_messages_come_into_the_maildirs(self, tmp_path, side):
        data, mail = machine.place(tmp_path, "data"), machine.place(tmp_path, "mail")

        assert 0 < side.deliver(data, mail, SMALL)["rate"]

    @pytest.mark.needs("cc", "postfix")
    @pytest.mark.skipif(os.geteuid() != 0, reason="Postfix has to be started by root")
    def test_postfix_delivers_what_it_has_held(self, public_folder):
        data, mail = machine.place(public_folder, "data"), machine.place(public_folder, "mail")

        assert 0 < maildir.Postfix().deliver(data, mail, SMALL)["rate"]
