"""The demo as a newcomer runs it: it shows what it promises, cleans up behind itself, and says what it lacks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"
LIMIT_S = 300.0
NEEDS_ALL = pytest.mark.needs("dovecot", "sievec", "spamd")
WITHOUT_PROGRAMS = """
import sys
sys.path.insert(0, {tools!r})
import demo, demo_full
demo_full.SEARCHED = "/nowhere"
sys.exit(demo.main())
"""


def environment() -> dict[str, str]:
    """With this Python's programs first, as `tools/setup.sh` has it."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def state() -> Iterator[Path]:
    """A demo's folder where other users can get to, as in a checkout that is nobody's secret."""
    with tempfile.TemporaryDirectory(prefix="mda-demo-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder, "state")


def command(state: Path, *options: str) -> list[str]:
    return [sys.executable, str(TOOLS / "demo.py"), "--port", "0", "--state", str(state), *options]


def run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, env=environment())


def delivered(state: Path, folder: str) -> list[str]:
    return [path.read_text() for path in state.glob(f"{folder}/new/*")]


def read_until_it_stays(process: subprocess.Popen[str]) -> str:
    """What it says up to the last line, after which it serves until it is told to end."""
    said: list[str] = []
    for line in process.stdout or ():
        if line == "Ctrl-C ends the demo.\n":
            return "".join(said)
        said.append(line)
    raise AssertionError("".join(said))


def descendants(pid: int) -> set[int]:
    """All that a process has started and that has not ended, however deep."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found |= {child} | descendants(child)
    return found


def is_running(pid: int) -> bool:
    """It has not ended; who it belongs to now may not have looked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def run_folder(shown: str) -> Path:
    found = re.search(r"-F -c (\S+)/dovecot\.conf", shown)
    assert found is not None
    return Path(found[1])


class TestDefaults:
    def test_message_arrives_is_shown_and_the_demo_ends(self, state):
        done = run(command(state, "--once"))

        assert (0, "") == (done.returncode, done.stderr)
        (message,) = delivered(state, "maildirs/localhost/you")
        assert all(f"     | {line}\n" in done.stdout for line in message.splitlines())
        assert "queue.delivered" in done.stdout

    def test_next_run_starts_anew(self, state):
        run(command(state, "--once"))

        done = run(command(state, "--once"))

        assert 0 == done.returncode, done.stderr
        assert 1 == len(delivered(state, "maildirs/localhost/you"))

    def test_folder_of_somebody_else_is_left_alone(self, state):
        state.mkdir()
        (state / "thesis.tex").write_text("irreplaceable")

        done = run(command(state, "--once"))

        assert (1, f"demo: {state} has things in it that are not a demo's\n") == (done.returncode, done.stderr)
        assert ["thesis.tex"] == [path.name for path in state.iterdir()]


class TestEnd:
    @pytest.mark.parametrize(
        ("options", "number"),
        [
            pytest.param([], signal.SIGINT, id="Ctrl-C"),
            pytest.param([], signal.SIGHUP, id="closed terminal"),
            pytest.param(["--full"], signal.SIGINT, id="full, Ctrl-C", marks=NEEDS_ALL),
            pytest.param(["--full"], signal.SIGTERM, id="full, SIGTERM", marks=NEEDS_ALL),
        ],
    )
    def test_signal_ends_all_that_was_started(self, state, options, number):
        """A second one, from an impatient hand, changes nothing."""
        with subprocess.Popen(
            command(state, *options), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
        ) as process:
            shown = read_until_it_stays(process)
            started = descendants(process.pid)
            process.send_signal(number)
            process.send_signal(number)
            rest, _ = process.communicate(timeout=LIMIT_S)

        assert (0, "Stopped.") == (process.returncode, rest.strip())
        assert len(started) >= (5 if options else 1)
        assert [] == [pid for pid in started if is_running(pid)]
        assert not options or not run_folder(shown).exists()

    def test_second_demo_in_one_folder_is_refused_and_the_first_goes_on(self, state):
        with subprocess.Popen(
            command(state), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment()
        ) as process:
            read_until_it_stays(process)
            second = run(command(state, "--once"))
            assert process.poll() is None
            process.terminate()

        assert (1, f"demo: another demo is running in {state}\n") == (second.returncode, second.stderr)
        assert 1 == len(delivered(state, "maildirs/localhost/you"))


@NEEDS_ALL
class TestFull:
    def test_letter_comes_into_the_inbox_and_spam_into_junk(self, state):
        done = run(command(state, "--full", "--once"))

        assert (0, "") == (done.returncode, done.stderr)
        (letter,) = delivered(state, "mail/you@localhost")
        (spam,) = delivered(state, "mail/you@localhost/.Junk")
        assert "\nX-Spam-Status: NO, score=" in letter
        assert "\nX-Spam-Status: YES, score=" in spam
        assert all(f"     | {line}\n" in done.stdout for line in [*letter.splitlines(), *spam.splitlines()])
        assert not run_folder(done.stdout).exists()

    def test_checkout_that_other_users_cannot_enter_will_do(self, state):
        """As root, dovecot-lda delivers for `nobody`, whom a checkout below /root is closed to."""
        state.parent.chmod(0o700)

        done = run(command(state, "--full", "--once"))

        assert (0, "") == (done.returncode, done.stderr)
        assert "     | X-Spam-Status: YES, score=" in done.stdout


class TestWhatIsMissing:
    def test_packages_to_install_are_named_in_one_sentence(self, state):
        script = WITHOUT_PROGRAMS.format(tools=str(TOOLS))

        done = run([sys.executable, "-c", script, "--full", "--once", "--state", str(state)])

        sentence = "--full needs programs that are not installed here: apt-get install dovecot-core dovecot-sieve spamd"
        assert (1, "", f"demo: {sentence}\n") == (done.returncode, done.stdout, done.stderr)


class TestScript:
    def test_options_are_for_the_demo_and_not_for_the_environment(self, tmp_path):
        """A sourced script sees its caller's options: with each of them the environment would be made anew."""
        (tmp_path / "demo").write_text((ROOT / "demo").read_text())
        (tmp_path / "tools").mkdir()
        (tmp_path / "tools" / "setup.sh").write_text(
            'echo "setup $*"; python() { echo "python $*"; }; exec() { "$@"; }'
        )

        done = run(["bash", str(tmp_path / "demo"), "--full", "--once"])

        assert "setup run\npython tools/demo.py --full --once\n" == done.stdout
