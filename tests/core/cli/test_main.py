"""The command as a whole: help, exit statuses, and what it imports when."""

import signal
from pathlib import Path

import pytest

COMMANDS = ("run", "init", "check", "plan", "plugins", "queue", "version")


class TestHelp:
    def test_newcomer_sees_a_command_to_try_and_every_command(self, mdacore):
        status, output, errors = mdacore("--help")

        assert (0, "") == (status, errors)
        assert "mdacore run --plugins edge_smtp,storage_shelve,policy_headers,relay_maildir" in output
        assert all(f"\n  {command} " in output for command in COMMANDS)

    @pytest.mark.parametrize("command", [*COMMANDS, ("queue", "list")])
    def test_each_command_explains_itself(self, mdacore, command):
        words = (command,) if isinstance(command, str) else command

        status, output, _ = mdacore(*words, "-h")

        assert 0 == status
        assert output.startswith(f"Usage: mdacore {' '.join(words)}")

    def test_version_is_printed(self, mdacore):
        assert (0, "mdacore 0.1.0\n", "") == mdacore("--version")

    def test_misspelt_command_is_a_usage_error(self, mdacore):
        status, _, errors = mdacore("queu")

        assert 2 == status
        assert "No such command 'queu'" in errors

    def test_misspelt_option_is_a_usage_error(self, mdacore):
        assert 2 == mdacore("check", "--confg", "x")[0]


class TestExitStatuses:
    def test_bad_configuration_is_78_with_a_line_for_each_problem(self, mdacore, chosen):
        status, output, errors = mdacore("check", *chosen, "--set", "a=1", "--set", "b=2")

        assert (78, "") == (status, output)
        assert (
            "--set: a: unknown key; there is plugins, service, log, edges, queues, policies, storages, relays\n"
            "--set: b: unknown key; there is plugins, service, log, edges, queues, policies, storages, relays\n"
            "mdacore: 2 problems in the configuration\n"
        ) == errors

    def test_missing_file_is_78(self, mdacore):
        assert (
            78,
            "",
            "no.toml: cannot be read: No such file or directory\nmdacore: 1 problem in the configuration\n",
        ) == mdacore("check", "--config", "no.toml")

    def test_reader_that_goes_away_is_no_error(self, spawn, chosen):
        process = spawn("plan", *chosen)
        process.stdout.close()

        errors = process.stderr.read()

        assert (0, "") == (process.wait(), errors)

    def test_full_disk_is_74(self, spawn, chosen):
        with Path("/dev/full").open("w") as full:
            process = spawn("plan", *chosen, stdout=full)
            errors = process.communicate()[1]

        assert (74, "mdacore: [Errno 28] No space left on device\n") == (process.returncode, errors)

    def test_terminal_that_cannot_show_a_character_gets_it_escaped(self, spawn, chosen):
        process = spawn("plan", *chosen, "--set", 'policies.tag.text="ü"', PYTHONIOENCODING="ascii", PYTHONUTF8="0")

        output, errors = process.communicate()

        assert (0, "") == (process.returncode, errors)
        assert '"\\xfc"' in output

    def test_interrupt_is_130_without_a_traceback(self, spawn, chosen, tmp_path):
        (tmp_path / "slow.py").write_text("print('importing', flush=True)\nimport time\ntime.sleep(60)\n")
        info = tmp_path / "slow-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[mdacore]\nslow = slow\n")
        process = spawn("check", "--plugins", "slow", PYTHONPATH=str(tmp_path))
        assert "importing\n" == process.stdout.readline()

        process.send_signal(signal.SIGINT)
        errors = process.communicate()[1]

        assert (130, "") == (process.returncode, errors)


class TestImports:
    @pytest.mark.parametrize("arguments", [("--help",), ("version",), ("check", "--help")])
    def test_help_and_version_need_neither_gevent_nor_the_log(self, after, arguments):
        assert [] == after(arguments, "[name for name in ('gevent', 'structlog', 'cattrs') if name in sys.modules]")

    @pytest.mark.parametrize("command", ["check", "plan"])
    def test_standard_library_stays_unpatched(self, after, chosen, command):
        assert "socket" == after((command, *chosen), "__import__('socket').socket.__module__")

    def test_run_patches_it(self, after, chosen):
        arguments = ("run", *chosen, "--set", 'edges.fake.banner="unbindable"')

        assert "gevent._socket3" == after(arguments, "__import__('socket').socket.__module__")
