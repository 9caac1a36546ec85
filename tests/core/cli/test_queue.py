"""``mdacore queue list``, ``count`` and ``top``, on a storage that only lists."""

import json
import re

import pytest

ENTRIES = [
    {"id": "a0000000001", "state": "due", "sender": "a@example.com", "recipients": [["b@example.org", None]]},
    {
        "id": "a0000000002",
        "state": "active",
        "sender": "",
        "size": 1234567,
        "recipients": [["c@example.org", "451 4.3.0 Try later"], ["d@example.org", "450 4.2.0 Busy"]],
    },
    {
        "id": "a0000000003",
        "queue": "other",
        "state": "held",
        "sender": "e\u001b[31m@example.com",
        "held": "looks odd",
        "recipients": [["f@example.org", None]],
    },
]
AGE = re.compile(r"(?<=[\dM]) +\d+d(\d+h)?(?= )")
FILE = """\
plugins = ["fake_edge", "fake_storage", "fake_relay"]
[edges.mx]
[queues.main]
storage = "spool"
relay = "local"
[queues.other]
storage = "spool"
relay = "local"
[storages.spool]
[relays.local]
"""


@pytest.fixture
def listing(mdacore, state, tmp_path):
    """List the queue that holds ENTRIES."""
    (tmp_path / "mda.toml").write_text(FILE)
    state.mkdir()
    (state / "spool.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in ENTRIES))
    return lambda *arguments: mdacore("queue", "list", "--config", "mda.toml", "--state", state, *arguments)


class TestTable:
    def test_messages_have_their_marks_and_recipients_their_last_replies(self, listing):
        expected = """\
ID              SIZE     AGE    NEXT  TRIES  QUEUE     SENDER
a0000000001      100     OLD     now      1  main      a@example.com
    b@example.org
a0000000002*   1.23M     OLD     now      1  main      <>
    c@example.org
        451 4.3.0 Try later
    d@example.org
        450 4.2.0 Busy
a0000000003!     100     OLD       -      1  other     e [31m@example.com
    held: looks odd
    f@example.org
-- 3 messages, 1.23M bytes
"""
        status, output, errors = listing()

        assert (0, expected, "") == (status, AGE.sub("     OLD", output), errors)

    def test_empty_queue_is_said_to_be_empty(self, listing, state):
        (state / "spool.jsonl").write_text("")

        assert (0, "No messages.\n", "") == listing()


class TestJson:
    def test_each_line_is_an_object_with_the_names_of_postqueue(self, listing):
        status, output, _ = listing("--json")

        objects = [json.loads(line) for line in output.splitlines()]
        assert (0, 3) == (status, len(objects))
        assert {
            "queue_name": "main",
            "queue_id": "a0000000002",
            "arrival_time": 1_700_000_000,
            "message_size": 1234567,
            "sender": "",
            "recipients": [
                {"address": "c@example.org", "delay_reason": "451 4.3.0 Try later"},
                {"address": "d@example.org", "delay_reason": "450 4.2.0 Busy"},
            ],
            "state": "active",
            "next_attempt_time": 1_700_000_060,
            "attempts": 1,
            "lane": "local/",
            "held": "",
        } == objects[1]

    def test_empty_queue_prints_nothing(self, listing, state):
        (state / "spool.jsonl").write_text("")

        assert (0, "", "") == listing("--json")


def ids(output):
    return [json.loads(line)["queue_id"][-1] for line in output.splitlines()]


class TestFilters:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (("--queue", "other"), ["3"]),
            (("--only", "held"), ["3"]),
            (("--only", "due", "--only", "active"), ["1", "2"]),
            (("--limit", "2"), ["1", "2"]),
            (("--lane", "local/", "--limit", "1"), ["1"]),
            (("--lane", "local/far.test"), []),
            (("--reason", "LOOKS"), ["3"]),
            (("--reason", "4.2.0 busy"), ["2"]),
            (("--min-attempts", "2"), []),
            (("--max-attempts", "1"), ["1", "2", "3"]),
            (("--older", "1h"), ["1", "2", "3"]),
            (("--younger", "1h"), []),
        ],
    )
    def test_only_what_fits_is_listed(self, listing, arguments, expected):
        assert expected == ids(listing("--json", *arguments)[1])

    def test_limit_counts_over_all_storages(self, listing, state, tmp_path):
        (tmp_path / "mda.toml").write_text(
            FILE.replace('[queues.other]\nstorage = "spool"', '[queues.other]\nstorage = "twin"')
            + '[storages.twin]\npath = "twin.jsonl"\n'
        )
        (state / "twin.jsonl").write_text((state / "spool.jsonl").read_text())

        assert ["1", "2", "3", "1"] == ids(listing("--json", "--limit", "4")[1])

    def test_queue_that_is_not_there_is_a_usage_error(self, listing):
        status, _, errors = listing("--queue", "mian")

        assert 2 == status
        assert "there is no queue 'mian'; did you mean 'main'?" in errors


class TestIds:
    @pytest.mark.parametrize("odd", ["../../x", "a" * 65, "a0000000001\n", "short", "-a00000000001", "ä0000000001"])
    def test_an_id_is_matched_whole(self, listing, odd):
        """Case 72: what is no id is an error of the command line, and never a path or an option."""
        status, _, errors = listing("--", odd)

        assert (2, True) == (status, "is not a queue id" in errors)

    def test_what_looks_like_an_option_is_no_id(self, listing):
        assert 2 == listing("--helpme")[0]


class TestCount:
    def test_each_row_has_its_states(self, listing, mdacore, state):
        status, output, _ = mdacore("queue", "count", "--config", "mda.toml", "--state", state)

        lines = [line.split()[:5] for line in output.splitlines()]
        assert 0 == status
        assert [
            ["QUEUE", "MESSAGES", "DUE", "ACTIVE", "HELD"],
            ["main", "2", "1", "1", "0"],
            ["other", "1", "0", "0", "1"],
            ["total", "3", "1", "1", "1"],
        ] == lines

    def test_total_is_a_bare_number(self, listing, mdacore, state):
        assert (0, "1\n", "") == mdacore(
            "queue", "count", "--total", "--only", "held", "--config", "mda.toml", "--state", state
        )


class TestTop:
    def test_the_largest_come_first_and_a_message_counts_in_each_of_its_domains(self, listing, mdacore, state):
        status, output, _ = mdacore("queue", "top", "--json", "--config", "mda.toml", "--state", state)

        (row,) = [json.loads(line) for line in output.splitlines()]
        assert (0, "example.org", 3, 3) == (status, row["domain"], row["messages"], row["ages"]["more"])

    def test_reasons_that_differ_in_addresses_and_numbers_are_one(self, listing, mdacore, state):
        replies = ["451 4.2.1 <a@x.test> busy, id 0123456789", "451 4.2.1 <b@y.test> busy, id 9876543210"]
        entries = [
            {**ENTRIES[0], "id": f"b000000000{n}", "recipients": [["x@y", one]]} for n, one in enumerate(replies)
        ]
        (state / "spool.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))

        output = mdacore("queue", "top", "--by", "reason", "--json", "--config", "mda.toml", "--state", state)[1]

        (row,) = [json.loads(line) for line in output.splitlines()]
        assert ("451 4.2.1 … busy, id …", 2) == (row["reason"], row["messages"])


class TestFailures:
    def test_store_that_is_not_there_is_66(self, listing, state):
        (state / "spool.jsonl").unlink()

        assert (66, "", f"mdacore: storages.spool: there is no store at {state}/spool.jsonl\n") == listing()

    def test_store_that_fails_on_the_way_is_74_after_what_could_be_read(self, listing, state):
        with (state / "spool.jsonl").open("a") as file:
            file.write("damaged\n")

        status, output, errors = listing("--json")

        assert (74, ["1", "2", "3"]) == (status, ids(output))
        assert "mdacore: storages.spool: damaged\n" == errors

    def test_bad_configuration_is_78(self, listing):
        assert 78 == listing("--set", "relays.local.concurrency=0")[0]
