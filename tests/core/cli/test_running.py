"""``mdacore run``, as a process."""

import json
import signal


class TestRun:
    def test_it_serves_until_sigterm_and_ends_with_0(self, spawn, chosen):
        process = spawn("run", *chosen)
        started = next(line for line in map(json.loads, process.stdout) if line["event"] == "service.started")

        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=60)

        assert ("service.started", {"edges.fake": ["127.0.0.1:2525"]}) == (started["event"], started["addresses"])
        assert (0, "") == (process.returncode, errors)
        assert "service.stopped" == json.loads(output.splitlines()[-1])["event"]

    def test_log_level_is_that_of_the_option(self, spawn, chosen):
        process = spawn("run", *chosen, "--log-level", "error", "--set", 'edges.fake.banner="tell"')
        assert "telling\n" == process.stderr.readline()

        process.send_signal(signal.SIGTERM)

        assert ("", "") == process.communicate(timeout=60)
        assert 0 == process.returncode

    def test_bad_configuration_starts_nothing_and_ends_with_78(self, spawn, chosen, state):
        process = spawn("run", *chosen, "--set", "edges.fake.max_sessions=0")

        output, errors = process.communicate(timeout=60)

        assert (78, "") == (process.returncode, output)
        assert "--set: edges.fake.max_sessions: 0 is not between 1 and 10000\n" in errors
        assert not state.exists()

    def test_component_that_cannot_start_is_named_and_the_end_is_1(self, spawn, chosen):
        process = spawn("run", *chosen, "--set", 'edges.fake.banner="unbindable"')

        output, errors = process.communicate(timeout=60)

        assert (1, "") == (process.returncode, output)
        assert "mdacore: edges.fake: [Errno 98] Address already in use\n" == errors
