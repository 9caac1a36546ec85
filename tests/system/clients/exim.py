"""Exim as a client: one message at a time, sent on at once, with a spool and a configuration of its own.

Debian's Exim looks up the user that it was built for; libnss_wrapper shows it one, so that nothing is installed.
"""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

from .programs import EXIM, filled, run
from .server import HOSTNAME, PASSWORD, USER, Server


class Exim:
    """Hands messages to one edge."""

    def __init__(self, folder: Path, server: Server, *, is_secure: bool) -> None:
        self._folder = folder
        self._make_folders()
        self._make_users()
        values = {"exim": EXIM, "folder": folder, "port": server.port("mx"), "certificate": server.certificate}
        values |= {"hostname": HOSTNAME, "user": USER, "password": PASSWORD}
        values |= {"secure": "*", "clear": ""} if is_secure else {"secure": "", "clear": "*"}
        (folder / "exim.conf").write_text(filled("exim.conf", **values))

    def send(self, message: bytes, *recipients: str) -> str:
        """Send and wait; returns what its log says."""
        command = [EXIM, "-C", self._folder / "exim.conf", "-odf", "-oi", "-f", "alice@example.org", *recipients]
        environment = {
            **os.environ,
            "LD_PRELOAD": "libnss_wrapper.so",
            "NSS_WRAPPER_PASSWD": str(self._folder / "passwd"),
            "NSS_WRAPPER_GROUP": str(self._folder / "group"),
        }
        status, said = run(*command, stdin=message, environment=environment)
        assert 0 == status, said
        return (self._folder / "log" / "mainlog").read_text()

    def _make_folders(self) -> None:
        owner = pwd.getpwnam("nobody")
        for name in ("spool", "log"):
            (self._folder / name).mkdir()
            os.chown(self._folder / name, owner.pw_uid, owner.pw_gid)

    def _make_users(self) -> None:
        nobody, root = pwd.getpwnam("nobody"), pwd.getpwnam("root")
        group = grp.getgrgid(nobody.pw_gid).gr_name
        (self._folder / "passwd").write_text(
            f"root:x:0:0::{root.pw_dir}:/bin/sh\nDebian-exim:x:{nobody.pw_uid}:{nobody.pw_gid}::/nonexistent:/bin/false\n"
        )
        (self._folder / "group").write_text(f"root:x:0:\nDebian-exim:x:{nobody.pw_gid}:\n{group}:x:{nobody.pw_gid}:\n")
