"""A private Dovecot, for the user database that dovecot-lda asks: nothing listens to the network.

The system's own instance, its configuration and its mail are never read or written. Works with and without root: the
mailboxes belong to ``nobody`` or to whoever measures.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mdabench import machine, maildirs
from mdabench.load import Unavailable
from mdabench.server import Failed

SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/usr/lib/dovecot:/usr/libexec/dovecot"
START_LIMIT_S = 20.0
STOP_LIMIT_S = 15.0

CONFIG = """\
base_dir = {data}/run
state_dir = {data}
log_path = /dev/stderr
protocols =
ssl = no
hostname = mx.example.test
postmaster_address = postmaster@example.test
sendmail_path = /bin/false
first_valid_uid = 1
mail_home = {mail}/%n
mail_location = maildir:~
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} allow_all_users=yes
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""

WITHOUT_ROOT = """\
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


@dataclass(frozen=True, kw_only=True)
class Dovecot:
    """A running one: its configuration file, the program that delivers, and where the mailboxes are."""

    config: Path
    lda: str
    mail: Path


def need() -> None:
    """Raise Unavailable without the programs, or with a version whose configuration is another."""
    if not _program("dovecot") or not _program("dovecot-lda"):
        raise Unavailable("dovecot-lda is not installed: apt-get install dovecot-core")
    if not version().startswith("2.3."):
        raise Unavailable(f"the configuration here is for Dovecot 2.3, and this is {version()}")


def version() -> str:
    """As it says itself."""
    command = [_program("dovecot"), "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]


@contextlib.contextmanager
def running(data: Path) -> Iterator[Dovecot]:
    """Start it on an empty folder, with maildirs beside; stopped at the end. Raises Failed."""
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    mail = machine.place(data.parent, "mail")
    maildirs.make(mail, uid=account.pw_uid, gid=account.pw_gid)
    config = data / "dovecot.conf"
    text = CONFIG.format(data=data, mail=mail, uid=account.pw_uid, gid=account.pw_gid)
    if os.geteuid() != 0:
        text += WITHOUT_ROOT.format(user=account.pw_name, group=grp.getgrgid(account.pw_gid).gr_name)
    config.write_text(text)
    log = data / "dovecot.log"
    with log.open("wb") as output:
        command = [_program("dovecot"), "-F", "-c", str(config)]
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait_until_it_answers(process, data / "run" / "auth-userdb", log)
        yield Dovecot(config=config, lda=_program("dovecot-lda"), mail=mail)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_LIMIT_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_it_answers(process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    end = time.monotonic() + START_LIMIT_S
    while not socket.is_socket():
        if process.poll() is not None or time.monotonic() > end:
            raise Failed(f"dovecot did not start: {log.read_text(errors='replace')[-1500:].strip()}")
        time.sleep(0.02)


def _program(name: str) -> str:
    return shutil.which(name, path=SEARCHED) or ""
