"""Postfix as a target: a private instance that shares the programs of Debian's package and nothing else.

The system's own instance, its configuration and its queue are never read or written. All is at Postfix's defaults (so
its queue is as durable as it always is), except what would turn away or slow down many sessions from one address.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from mdabench.load import Unavailable
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
mydestination = example.test
local_recipient_maps =
local_transport = discard:
alias_maps =
alias_database =
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
"""

# service, type, private, unprivileged, chroot, wake-up, most processes, program
MASTER = """\
127.0.0.1:{port} inet n - n - 400 smtpd
cleanup   unix  n - n -    0 cleanup
qmgr      unix  n - n 300  1 qmgr
rewrite   unix  - - n -    - trivial-rewrite
discard   unix  - - n -    - discard
error     unix  - - n -    - error
retry     unix  - - n -    - error
bounce    unix  - - n -    0 bounce
defer     unix  - - n -    0 bounce
trace     unix  - - n -    0 bounce
proxymap  unix  - - n -    - proxymap
anvil     unix  - - n -    1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix(Target):
    """Accepts for one domain, queues on disk, and hands everything to its `discard` transport."""

    name = "postfix"
    keeps = "the message, synced"

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
        (config / "main.cf").write_text(MAIN.format(data=data))
        (config / "master.cf").write_text(MASTER.format(port=port))
        (data / "lib").mkdir()
        owner = pwd.getpwnam("postfix")
        os.chown(data / "lib", owner.pw_uid, owner.pw_gid)
        (data / "queue").mkdir()
        made = subprocess.run(["postfix", "-c", str(config), "check"], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise Failed(f"postfix check: {made.stderr.strip()}")

    def command(self, data: Path, port: int) -> list[str]:  # noqa: ARG002 - the port is in master.cf
        # Not `postfix start-fg`: a shell would stand between us and the process that has to get the signal.
        return [f"{_default('daemon_directory')}/master", "-s", "-c", str(data / "etc")]


def _default(name: str) -> str:
    return subprocess.run(["postconf", "-d", "-h", name], capture_output=True, text=True, check=True).stdout.strip()
