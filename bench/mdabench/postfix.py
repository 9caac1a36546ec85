"""Postfix as a target: private instances that share the programs of Debian's package and nothing else.

The system's own instance, its configuration and its queue are never read or written. All is at Postfix's defaults (so
its queue is as durable as it always is), except what would turn away or slow down many sessions from one address.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from mdabench import maildirs, slowsync
from mdabench.load import Unavailable
from mdabench.mail import MAILBOXES, address, user
from mdabench.server import Failed, Target

MAIN = """\
compatibility_level = 3.6
queue_directory = {data}/queue
data_directory = {data}/lib
maillog_file = {data}/mail.log
maillog_file_prefixes = {data}
myhostname = mx.example.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C {passed_on}
"""

DISCARD = """\
mydestination = example.test
local_recipient_maps =
local_transport = discard:
"""

# What a client sends waits in the hold queue until it is released.
VIRTUAL_HELD = """\
mydestination =
virtual_mailbox_domains = example.test
virtual_mailbox_base = {mail}
virtual_mailbox_maps = texthash:{data}/etc/mailboxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_data_restrictions = check_client_access static:HOLD
"""

# service, type, private, unprivileged, chroot, wake-up, most processes, program
MASTER = """\
127.0.0.1:{port} inet n - n - 400 smtpd
pickup    unix  n - n   60  1 pickup
cleanup   unix  n - n -    0 cleanup
qmgr      unix  n - n 300  1 qmgr
rewrite   unix  - - n -    - trivial-rewrite
discard   unix  - - n -    - discard
virtual   unix  - n n -    - virtual
error     unix  - - n -    - error
retry     unix  - - n -    - error
bounce    unix  - - n -    0 bounce
defer     unix  - - n -    0 bounce
trace     unix  - - n -    0 bounce
proxymap  unix  - - n -    - proxymap
anvil     unix  - - n -    1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""


class PostfixTarget(Target):
    """An instance; a subclass says what becomes of the mail."""

    name = "postfix"

    def need(self) -> None:
        if os.geteuid() != 0:
            raise Unavailable("Postfix has to be started by root")
        if shutil.which("postfix") is None:
            raise Unavailable("Postfix is not installed: apt-get install postfix")

    def version(self) -> str:
        return f"Postfix {_default('mail_version')}"

    def prepare(self, data: Path, port: int) -> None:
        config = data / "etc"
        config.mkdir()
        main = MAIN.format(data=data, passed_on=" ".join(slowsync.NAMES))
        (config / "main.cf").write_text(main + self.delivery(data))
        (config / "master.cf").write_text(MASTER.format(port=port))
        (data / "lib").mkdir()
        owner = pwd.getpwnam("postfix")
        os.chown(data / "lib", owner.pw_uid, owner.pw_gid)
        (data / "queue").mkdir()
        made = subprocess.run(["postfix", "-c", str(config), "check"], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise Failed(f"postfix check: {made.stderr.strip()}")

    def delivery(self, data: Path) -> str:
        """The part of main.cf about delivery, and whatever it needs in the folder."""
        raise NotImplementedError

    def command(self, data: Path, port: int) -> list[str]:  # noqa: ARG002 - the port is in master.cf
        # Not `postfix start-fg`: a shell would stand between us and the process that has to get the signal.
        return [f"{_default('daemon_directory')}/master", "-s", "-c", str(data / "etc")]


class Postfix(PostfixTarget):
    """Accepts for one domain, queues on disk, and hands everything to its `discard` transport."""

    keeps = "the message, synced"

    def delivery(self, data: Path) -> str:  # noqa: ARG002 - it keeps nothing
        return DISCARD


class PostfixVirtual(PostfixTarget):
    """Keeps in its hold queue what it accepts, and after `release` delivers it into maildirs with virtual(8)."""

    keeps = "the file"

    def __init__(self, mail: Path) -> None:
        self.mail = mail

    def delivery(self, data: Path) -> str:
        nobody = pwd.getpwnam("nobody")
        maildirs.make(self.mail, uid=nobody.pw_uid, gid=nobody.pw_gid)
        lines = [f"{address(number)} {user(number)}/\n" for number in range(MAILBOXES)]  # the slash means a maildir
        (data / "etc" / "mailboxes").write_text("".join(lines))
        return VIRTUAL_HELD.format(data=data, mail=self.mail, uid=nobody.pw_uid, gid=nobody.pw_gid)

    @staticmethod
    def release(data: Path) -> None:
        """Let the queue manager have all that is held, now. Raises Failed."""
        for words in (
            ["postsuper", "-c", str(data / "etc"), "-H", "ALL"],
            ["postqueue", "-c", str(data / "etc"), "-f"],
        ):
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise Failed(f"{words[0]}: {done.stderr.strip()}")


def _default(name: str) -> str:
    return subprocess.run(["postconf", "-d", "-h", name], capture_output=True, text=True, check=True).stdout.strip()
