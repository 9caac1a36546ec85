"""A validator at AUTH: users and their passwords, from a file. ``python -m`` this module writes the file's lines.

Invariants: an attempt costs the same work whoever it names, so the time of an answer tells nobody who exists; no thread
but the few of this policy ever computes a hash; passwords are neither kept nor logged.
"""

import getpass
import hashlib
import hmac
import os
import stat
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from mdacore import (
    Context,
    Credentials,
    Health,
    Identity,
    PolicyParts,
    Problem,
    Provider,
    Reply,
    Session,
    Status,
    Validators,
    hookimpl,
)
from mdacore.runtime import Threads

SCRYPT = {"n": 2**14, "r": 8, "p": 5}
"""16 MiB for a hash; OWASP's Password Storage Cheat Sheet takes it for as good as n=2**17, p=1, with 128 MiB."""
SALT_BYTES = 16
LATER = Reply(code=454, enhanced="4.7.0", text="Temporary authentication failure")  # RFC 4954 §6
NOBODY = (bytes(SALT_BYTES), bytes(hashlib.sha512().digest_size))
"""Salt and hash of who does not exist: no password is known to have that hash."""


def hash_of(password: str, salt: bytes) -> bytes:
    """Takes some tenths of a second. A password is the same in any normal form of Unicode (RFC 8265 §4.2.2)."""
    octets = unicodedata.normalize("NFC", password).encode(errors="surrogatepass")  # it comes from a client
    return hashlib.scrypt(octets, salt=salt, **SCRYPT)


def line_of(name: str, password: str) -> str:
    """A line of the file."""
    salt = os.urandom(SALT_BYTES)
    return f"{name}:scrypt:{salt.hex()}:{hash_of(password, salt).hex()}"


def read(path: Path) -> Mapping[str, tuple[bytes, bytes]]:
    """The salt and the hash of each user; of two lines with one name the last counts.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is wrong; says which, and nothing of what stands there.
    """
    users = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line and not line.startswith("#"):
            try:
                name, scheme, salt, digest = line.rsplit(":", 3)
                users[name] = bytes.fromhex(salt), bytes.fromhex(digest)
            except ValueError:
                scheme = ""
            if scheme != "scrypt":
                raise ValueError(f"line {number} is not NAME:scrypt:SALT:HASH")
    return users


@attrs.frozen(kw_only=True)
class PasswordFileConfig:
    """``[policies.<name>] kind = "password_file"``."""

    path: Path = attrs.field(metadata={"help": "The file, with a line for each user."})
    workers: int = attrs.field(
        default=2,
        validator=attrs.validators.ge(1),
        metadata={"help": "How many passwords are compared at once, each with 16 MiB and a core."},
    )


class PasswordFile:
    """Knows the users of a file, which is read at each attempt: a change counts at once."""

    def __init__(self, config: PasswordFileConfig, context: Context) -> None:
        self._path = context.resolve(config.path)
        self._workers = config.workers
        self._log = context.log
        self._trouble = ""

    def parts(self) -> PolicyParts:
        """It speaks at AUTH and nowhere else."""
        return PolicyParts(validators=Validators(auth=self.check))

    def check(self, session: Session, credentials: Credentials, /) -> Identity | Reply | None:
        """An Identity if the password is right; None, which becomes 535 if nobody else knows the user."""
        users = self._read()
        if users is None:
            return LATER
        salt, expected = users.get(credentials.authcid, NOBODY)
        is_right = hmac.compare_digest(expected, self._threads.call(hash_of, credentials.secret, salt))
        acts_for_self = credentials.authzid in ("", credentials.authcid)  # RFC 4422 §3.4.1
        return Identity(name=credentials.authcid) if is_right and acts_for_self else None

    def _read(self) -> Mapping[str, tuple[bytes, bytes]] | None:
        try:
            users = self._threads.call(read, self._path)
        except (OSError, ValueError) as error:
            self._trouble = f"{self._path}: {error}"
            self._log.error("passwords.unreadable", error=self._trouble)
            return None
        self._trouble = ""
        return users

    def start(self) -> None:
        self._threads = Threads(self._workers)

    def drain(self, grace_s: float) -> bool:
        """Sessions wait for their answers, and edges are drained before policies."""
        return True

    def stop(self) -> None:
        self._threads.stop()

    def health(self) -> Health:
        return Health(status=Status.DEGRADED if self._trouble else Status.OK, reason=self._trouble)


def check(config: PasswordFileConfig, context: Context) -> Iterable[Problem]:
    """What is wrong with the file."""
    path = context.resolve(config.path)
    try:
        read(path)
        if path.stat().st_mode & stat.S_IROTH:
            yield Problem("path", f"everybody on this machine may read {path}: chmod o= is missing")
    except (OSError, ValueError) as error:
        yield Problem("path", f"{path} cannot be used: {error}")


@hookimpl
def mdacore_policies() -> Iterable[Provider[PasswordFileConfig, Context, PasswordFile]]:
    """One kind; who its users are only a file can say."""
    yield Provider(
        kind="password_file", config=PasswordFileConfig, build=PasswordFile, api=1, default=True, check=check
    )


def main(name: str) -> int:
    """Ask for a password, or read it from a pipe, and print the line."""
    password = getpass.getpass(f"Password of {name}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not password or not name or name.startswith("#"):
        print("There must be a name that does not begin with #, and a password", file=sys.stderr)
        return 1
    print(line_of(name, password))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m mdacore_policy_password_file NAME >> FILE")
    sys.exit(main(sys.argv[1]))
