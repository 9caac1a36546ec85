"""The README's examples: the configuration is one, and the filters file spam, and nothing else, into the quarantine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mdacore import Content, MemoryBody, with_lf
from mdacore_policy_spamassassin.fields import FAILED, with_verdict
from mdacore_policy_spamassassin.spamc import Scan

README = Path(__file__).resolve().parents[3] / "plugins/policy_spamassassin/README.md"
LETTER = Content(MemoryBody(b"Subject: YES, please\r\n\r\nX-Spam-Status: YES, says the body\r\n"))
MESSAGES = {
    "spam": with_verdict(LETTER, Scan(is_spam=True, score=15.0, required=5.0, symbols=("GTUBE",))),
    "clean": with_verdict(LETTER, Scan(is_spam=False, score=1.0, required=5.0, symbols=("YES",))),
    "failed": LETTER.prepend(FAILED),
}
FOLDERS = [("spam", "Quarantine"), ("clean", "INBOX"), ("failed", "INBOX")]


def example(language: str) -> str:
    (text,) = re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.M | re.S)
    return str(text)


@pytest.fixture
def folder(short_path: Path) -> Path:
    for name, content in MESSAGES.items():
        (short_path / name).write_bytes(b"".join(with_lf(content.chunks())))
    return short_path


def test_the_configuration_is_one(tmp_path):
    (tmp_path / "mda.toml").write_text(example("toml"))
    mdacore = Path(sys.executable).parent / "mdacore"
    command = [mdacore, "check", "--config", tmp_path / "mda.toml", "--state", tmp_path / "state"]

    result = subprocess.run(command, capture_output=True, text=True)

    assert (0, "") == (result.returncode, result.stderr)


@pytest.mark.needs("maildrop")
@pytest.mark.parametrize(("message", "filed"), FOLDERS)
def test_maildrop_files_spam(message, filed, folder):
    subprocess.run(["maildirmake", folder / "Maildir"], check=True)
    subprocess.run(["maildirmake", "-f", "Quarantine", folder / "Maildir"], check=True)
    rules = folder / "filter"
    rules.write_text(f'HOME="{folder}"\nDEFAULT="$HOME/Maildir"\n' + example("maildrop"))
    rules.chmod(0o600)

    with (folder / message).open("rb") as letter:
        subprocess.run(["maildrop", rules], stdin=letter, check=True)

    (file,) = folder.glob("Maildir/**/new/*")
    assert ("Maildir" if filed == "INBOX" else f".{filed}") == file.parent.parent.name


@pytest.mark.needs("sieve-test")
@pytest.mark.parametrize(("message", "filed"), FOLDERS)
def test_sieve_files_spam(message, filed, folder):
    user, group = (65_534, 65_534) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    (folder / "quarantine.sieve").write_text(example("sieve"))
    (folder / "dovecot.conf").write_text(
        f"mail_location = maildir:{folder}/mail\nmail_home = {folder}\nlog_path = /dev/stderr\n"
        f"mail_uid = {user}\nmail_gid = {group}\nfirst_valid_uid = 0\n"
    )
    command = ["sieve-test", "-c", folder / "dovecot.conf", folder / "quarantine.sieve", folder / message]

    result = subprocess.run(command, check=True, capture_output=True, text=True)

    assert [filed] == re.findall(r"store message in folder: (\S+)", result.stdout)
