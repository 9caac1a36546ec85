"""The helper: what it does for a service, and what it does not do for whoever has taken the service over."""

from __future__ import annotations

import json
import os
import signal
from errno import ENOENT
from pathlib import Path

import pytest

from mdacore.service.spawn_helper.messages import MAX_MESSAGE_BYTES, Report, encode_signal, encode_spawn

PROGRAM, BROKEN = 1, 2
"""Templates of the helper's, beside the one for scripts."""
LIBRARYS_OWN = 0b11 << 31
"""Signals 32 and 33 (nptl(7)): glibc may have whatever posix_spawn(3) starts ignore them, and all that comes of it."""
STUBBORN = "trap '' TERM; sleep 600 & echo $$ $!; wait; wait"


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def pids_in(path):
    return [int(word) for word in path.read_text().split()] if path.exists() else []


class TestSpawn:
    def test_a_process_runs_as_the_user_with_one_group_and_no_way_back(self, helper, output, nobody):
        helper.spawn(1, "nobody", "grep -E '^(Uid|Gid|Groups|CapPrm|CapEff):' /proc/self/status", output=output)

        assert [Report("started", 1), Report("exited", 1, 0)] == [helper.report(), helper.report()]
        uid, gid = nobody.pw_uid, nobody.pw_gid
        assert [
            ["Uid:", *[str(uid)] * 4], ["Gid:", *[str(gid)] * 4], ["Groups:", str(gid)],
            ["CapPrm:", "0" * 16], ["CapEff:", "0" * 16],
        ] == [line.split() for line in output.read_text().splitlines()]  # fmt: skip

    def test_its_surroundings_are_clean(self, helper, output, nobody):
        """Three descriptors, the template's environment, the root folder, umask 077, a session of its own."""
        helper.spawn(
            1,
            "nobody",
            'ls -m /proc/$$/fd; pwd; umask; env | grep -v "^_=\\|^PWD="; ps -o sid= $$; echo $$',
            output=output,
        )
        helper.report()
        helper.report()

        fds, folder, umask, *environment, session, pid = output.read_text().split("\n")[:-1]
        assert ["0, 1, 2", "/", "0077"] == [fds, folder, umask]
        assert [f"HOME={nobody.pw_dir}", "PATH=/usr/bin:/bin"] == sorted(environment)
        assert session.strip() == pid

    def test_signals_have_their_defaults(self, helper, output):
        """The helper itself ignores some."""
        helper.spawn(1, "nobody", "grep -E '^Sig(Ign|Blk):' /proc/self/status", output=output)
        helper.report()
        helper.report()

        assert [0, 0] == [int(line.split()[1], 16) & ~LIBRARYS_OWN for line in output.read_text().splitlines()]

    def test_its_input_is_the_file_that_was_given(self, helper, output, tmp_path):
        (tmp_path / "message").write_text("hello")
        with (tmp_path / "message").open("rb") as message, output.open("wb") as out:
            helper.send(encode_spawn(1, 0, ["nobody", "cat; id -u"]), message.fileno(), out.fileno())
        helper.report()
        helper.report()

        assert "hello65534\n" == output.read_text()

    def test_what_is_filled_in_stays_one_argument(self, helper, output):
        helper.spawn(1, "nobody", 'printf "%s|" "$@"', "sh", "a b", "", "$(id); x\n`id`", output=output)
        helper.report()
        helper.report()

        assert "a b||$(id); x\n`id`|" == output.read_text()

    @pytest.mark.parametrize(("script", "status"), [("exit 67", 67 << 8), ("kill -KILL $$", 9)])
    def test_its_end_is_told_as_the_system_tells_it(self, helper, script, status):
        helper.spawn(1, "nobody", script)

        assert [Report("started", 1), Report("exited", 1, status)] == [helper.report(), helper.report()]

    def test_many_run_at_once(self, helper):
        for job in range(1, 51):
            helper.spawn(job, "nobody", "sleep 0.1")

        reports = [helper.report() for _ in range(100)]

        assert set(range(1, 51)) == {report.job for report in reports if report.kind == "exited"}
        assert set(range(1, 51)) == {report.job for report in reports if report.kind == "started"}

    def test_a_program_that_is_not_there_was_not_started(self, helper):
        helper.spawn(1, "nobody", "/nonexistent/lda", template=PROGRAM)

        report = helper.report()

        assert ("failed", 1, ENOENT) == (report.kind, report.job, report.number)

    def test_one_that_the_user_may_not_execute_was_not_started(self, helper, tmp_path):
        """`tmp_path` is closed to others: it is the user's rights that count, not root's."""
        (tmp_path / "lda").write_text("#!/bin/sh\n")
        (tmp_path / "lda").chmod(0o755)

        helper.spawn(1, "nobody", str(tmp_path / "lda"), template=PROGRAM)

        assert "failed" == helper.report().kind


class TestRefusals:
    """What is asked for in due form, and not done; the helper goes on."""

    @pytest.mark.parametrize(
        ("user", "kind", "why"),
        [
            ("root", "refused", "number 0"),
            ("daemon", "refused", "below min_uid = 500"),
            ("no-such-user-here", "unknown", "there is no user"),
            ("", "unknown", "there is no user"),
            ("0", "unknown", "there is no user"),
            ("../root", "unknown", "there is no user"),
            ("root:0", "unknown", "there is no user"),
            ("nobody\nroot", "unknown", "there is no user"),
        ],
    )
    def test_a_user_that_must_not_be_is_refused(self, helper, output, user, kind, why):
        helper.spawn(1, user, "id", output=output)
        report = helper.report()
        helper.spawn(2, "nobody", "exit 0")

        assert (kind, 1, True) == (report.kind, report.job, why in report.text)
        assert [Report("started", 2), Report("exited", 2)] == [helper.report(), helper.report()]
        assert "" == output.read_text()

    def test_root_is_refused_whatever_min_uid_says(self, start_helper):
        helper = start_helper(min_uid=0)
        helper.spawn(1, "root", "id")

        assert "refused" == helper.report().kind

    def test_values_that_a_template_cannot_use_are_refused(self, helper):
        helper.send(encode_spawn(1, 0, []), *[os.open(os.devnull, os.O_RDWR) for _ in range(2)])

        assert ("refused", True) == ((report := helper.report()).kind, "template failed: IndexError" in report.text)

    def test_a_template_that_fails_hurts_nobody_else(self, helper):
        helper.spawn(1, "nobody", "id", template=BROKEN)
        report = helper.report()
        helper.spawn(2, "nobody", "exit 0")

        assert ["refused", "started", "exited"] == [report.kind, helper.report().kind, helper.report().kind]


class TestMalformed:
    """What no service says: the helper kills what runs, says so in one line, and ends."""

    @pytest.fixture(
        params=[
            "rubbish", "no_fds", "one_fd", "three_fds", "many_fds", "signal_with_fds", "unknown_template",
            "job_again", "older_job", "signal_to_the_future", "other_signal", "too_long", "not_utf8", "nul_job",
        ]
    )  # fmt: skip
    def offence(self, request, helper):
        """Something that ends the helper, as a call."""
        null_fds = [os.open(os.devnull, os.O_RDWR) for _ in range(64)]
        spawn = encode_spawn(9, 0, ["nobody", "exit 0"])
        yield {
            "rubbish": lambda: helper.send(b"GET / HTTP/1.1\r\n"),
            "no_fds": lambda: helper.send(spawn),
            "one_fd": lambda: helper.send(spawn, *null_fds[:1]),
            "three_fds": lambda: helper.send(spawn, *null_fds[:3]),
            "many_fds": lambda: helper.send(spawn, *null_fds),
            "signal_with_fds": lambda: helper.send(encode_signal(1, signal.SIGTERM), *null_fds[:2]),
            "unknown_template": lambda: helper.spawn(9, "nobody", "id", template=3),
            "job_again": lambda: helper.spawn(1, "nobody", "id"),
            "older_job": lambda: helper.spawn(0, "nobody", "id"),
            "signal_to_the_future": lambda: helper.signal(2),
            "other_signal": lambda: helper.signal(1, signal.SIGSTOP),
            "too_long": lambda: helper.send(encode_spawn(9, 0, ["x" * MAX_MESSAGE_BYTES]), *null_fds[:2]),
            "not_utf8": lambda: helper.send(b"spawn\x009\x000\x00\xff", *null_fds[:2]),
            "nul_job": lambda: helper.send(b"spawn\x00\x00\x00", *null_fds[:2]),
        }[request.param]
        for fd in null_fds:
            os.close(fd)

    def test_it_ends_with_a_line_and_what_ran_is_gone(self, helper, output, offence, wait_until):
        helper.spawn(1, "nobody", STUBBORN, output=output)
        helper.report()
        wait_until(lambda: len(pids_in(output)) == 2)

        offence()

        status, said = helper.end()
        (line,) = said.splitlines()
        assert (1, "service.spawn_helper_failed") == (status, json.loads(line)["event"])
        wait_until(lambda: all(is_gone(pid) for pid in pids_in(output)))


class TestSignals:
    def test_a_process_is_told_to_end_with_its_group(self, helper, output, wait_until):
        helper.spawn(1, "nobody", "sleep 600 & echo $$ $!; wait", output=output)
        wait_until(lambda: len(pids_in(output)) == 2)
        helper.signal(1, signal.SIGTERM)

        assert [Report("started", 1), Report("exited", 1, signal.SIGTERM)] == [helper.report(), helper.report()]
        wait_until(lambda: all(is_gone(pid) for pid in pids_in(output)))

    def test_what_ignores_it_is_killed_with_its_group(self, helper, output, wait_until):
        helper.spawn(1, "nobody", STUBBORN, output=output)
        wait_until(lambda: len(pids_in(output)) == 2)
        helper.signal(1, signal.SIGTERM)
        helper.signal(1, signal.SIGKILL)

        assert [Report("started", 1), Report("exited", 1, signal.SIGKILL)] == [helper.report(), helper.report()]
        wait_until(lambda: all(is_gone(pid) for pid in pids_in(output)))

    def test_a_grandchild_that_outlives_its_signalled_parent_is_killed(self, helper, output, wait_until):
        """The parent obeys SIGTERM, the grandchild does not; once the parent is reaped nobody could find it safely."""
        helper.spawn(1, "nobody", "(trap '' TERM; exec sleep 600) & echo $$ $!; exec sleep 600", output=output)
        wait_until(lambda: len(pids_in(output)) == 2)
        wait_until(lambda: b"sleep" in Path(f"/proc/{pids_in(output)[1]}/cmdline").read_bytes())
        helper.signal(1, signal.SIGTERM)

        assert [Report("started", 1), Report("exited", 1, signal.SIGTERM)] == [helper.report(), helper.report()]
        wait_until(lambda: is_gone(pids_in(output)[1]))

    def test_one_that_comes_right_after_the_request_is_not_lost(self, helper):
        helper.spawn(1, "nobody", "sleep 600")
        helper.signal(1, signal.SIGKILL)

        assert Report("exited", 1, signal.SIGKILL) in [helper.report(), helper.report()]

    def test_one_for_a_process_that_has_ended_does_nothing(self, helper):
        helper.spawn(1, "nobody", "exit 0")
        helper.report()
        helper.report()
        helper.signal(1, signal.SIGKILL)
        helper.spawn(2, "nobody", "exit 0")

        assert Report("started", 2) == helper.report()

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    def test_the_helper_itself_outlives_what_is_meant_for_the_service(self, helper, number):
        helper.spawn(1, "nobody", "exit 0")
        helper.report()
        helper.process.send_signal(number)
        helper.report()
        helper.spawn(2, "nobody", "exit 0")

        assert Report("started", 2) == helper.report()


class TestEnd:
    def test_with_the_socket_everything_ends_silently(self, helper, output, wait_until):
        helper.spawn(1, "nobody", STUBBORN, output=output)
        helper.report()
        wait_until(lambda: len(pids_in(output)) == 2)

        helper.connection.close()

        assert (0, "") == helper.end()
        wait_until(lambda: all(is_gone(pid) for pid in pids_in(output)))

    def test_also_when_reports_were_never_read(self, helper):
        for job in range(1, 20):
            helper.spawn(job, "nobody", "exit 0")

        helper.connection.close()

        assert (0, "") == helper.end()

    def test_nothing_is_left_open_after_many_jobs(self, helper):
        def count():
            return len(list(Path(f"/proc/{helper.process.pid}/fd").iterdir()))

        helper.spawn(1, "nobody", "exit 0")
        helper.report()
        helper.report()
        before = count()

        for job in range(2, 40):
            helper.spawn(job, "nobody" if job % 2 else "no-such-user-here", "exit 0")
            helper.report()
            if job % 2:
                helper.report()

        assert before == count()
        assert [] == Path(f"/proc/{helper.process.pid}/task/{helper.process.pid}/children").read_text().split()
