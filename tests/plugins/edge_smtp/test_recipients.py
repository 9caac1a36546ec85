"""Who gets mail here, by configuration alone."""

from __future__ import annotations

import pytest

from mdacore import LOCAL_ERROR, domain_of
from mdacore_edge_smtp.lookup import LookupTable
from mdacore_edge_smtp.recipients import RELAYING_DENIED, UNKNOWN_RECIPIENT, Recipients, Resolution, Rules

DOMAINS = ("example.test", "Second.test")


def resolve(address: str, **rules) -> Resolution:
    return Recipients(Rules(**{"domains": DOMAINS, **rules})).resolve(address)


class TestDomains:
    def test_without_a_list_everybody_there_is_known(self):
        assert Resolution("whoever@second.test") == resolve("whoever@second.test")

    def test_another_domain_is_not_ours_whatever_is_known(self):
        assert RELAYING_DENIED is resolve("bob@elsewhere.test", catch_all="bob@example.test").refusal

    def test_what_is_open_need_not_be_asked(self):
        assert {"example.test", "second.test"} == Recipients(Rules(domains=DOMAINS)).open_domains

    @pytest.mark.parametrize("rules", [{"listed": ("bob@example.test",)}, {"postmaster": "bob@example.test"}])
    def test_nothing_is_open_where_something_is_to_be_looked_up(self, rules):
        assert frozenset() == Recipients(Rules(domains=DOMAINS, **rules)).open_domains

    @pytest.mark.parametrize("ours", ["grüße.example", "xn--gre-6ka8l.example", "GRU\u0308\u00dfE.example"])
    @pytest.mark.parametrize("theirs", ["grüße.example", "Xn--gre-6ka8l.example", "gru\u0308\u00dfe.EXAMPLE"])
    def test_case_057_all_spellings_of_our_domain_are_ours(self, ours, theirs):
        assert Resolution(f"bob@{theirs}") == resolve(f"bob@{theirs}", domains=(ours,))

    def test_the_usual_spellings_of_an_open_domain_are_open(self):
        """Those that a client would write: asking further is for the others."""
        recipients = Recipients(Rules(domains=("Grüße.example",)))

        assert domain_of("bob@GRÜßE.example") in recipients.open_domains
        assert domain_of("bob@XN--gre-6ka8l.example") in recipients.open_domains


class TestLists:
    LISTED = ("bob@example.test", '"a b"@example.test', "@second.test")

    @pytest.mark.parametrize(
        "address", ["bob@example.test", "BOB@EXAMPLE.TEST", '"bob"@example.test', '"A b"@example.test', "x@second.test"]
    )
    def test_the_listed_are_known_and_go_where_they_were_sent(self, address):
        assert Resolution(address) == resolve(address, listed=self.LISTED)

    @pytest.mark.parametrize("address", ["eve@example.test", "bob+x@example.test"])
    def test_others_are_unknown(self, address):
        assert UNKNOWN_RECIPIENT is resolve(address, listed=self.LISTED).refusal

    def test_a_sub_address_is_known_with_its_mailbox_and_keeps_its_address(self):
        assert Resolution("bob+x@example.test") == resolve("bob+x@example.test", listed=self.LISTED, delimiter="+")

    def test_the_unknown_go_to_the_catch_all(self):
        assert Resolution("carol@a.test") == resolve("eve@example.test", listed=self.LISTED, catch_all="carol@a.test")


class TestPostmaster:
    """RFC 5321 §4.5.1."""

    @pytest.mark.parametrize("address", ["postmaster", "postmaster@example.test", "PostMaster@second.test"])
    def test_case_031_all_of_them_go_to_the_configured_one(self, address):
        found = resolve(address, listed=("bob@example.test",), postmaster="carol@elsewhere.test")

        assert Resolution("carol@elsewhere.test") == found

    def test_case_031_without_one_they_stay_where_they_are_and_the_bare_one_is_at_the_first_domain(self):
        assert Resolution("postmaster@example.test") == resolve("postmaster", listed=("bob@example.test",))
        assert Resolution("Postmaster@second.test") == resolve("Postmaster@second.test", listed=("bob@example.test",))

    def test_the_postmaster_of_others_is_not_ours(self):
        assert RELAYING_DENIED is resolve("postmaster@elsewhere.test").refusal


class TestTables:
    @pytest.fixture
    def path(self, tmp_path):
        path = tmp_path / "recipients"
        path.write_text(
            "bob@example.test OK\nbob+spam@example.test REJECT\n@second.test OK\neve@second.test 550 5.2.1 Gone\n"
        )
        return path

    @pytest.fixture
    def table(self, path, clock, log):
        return LookupTable(path, clock=clock, log=log)

    @pytest.mark.parametrize(
        ("address", "code"),
        [
            ("bob@example.test", None),
            ("bob+x@example.test", None),
            ("bob+spam@example.test", 550),
            ("eve@example.test", 550),
            ("x@second.test", None),
            ("eve@second.test", 550),
            ("dave@example.test", None),
        ],
    )
    def test_the_nearest_entry_counts_and_the_list_stands_beside_it(self, table, address, code):
        found = resolve(address, table=table, delimiter="+", listed=("dave@example.test",))

        assert code == (found.refusal and found.refusal.code)

    def test_while_there_is_no_table_nobody_is_refused_for_good(self, tmp_path, clock, log):
        table = LookupTable(tmp_path / "missing", clock=clock, log=log)

        assert LOCAL_ERROR is resolve("bob@example.test", table=table).refusal
        assert Resolution("dave@example.test") == resolve("dave@example.test", table=table, listed=("@example.test",))
        assert Resolution("postmaster@example.test") == resolve("postmaster@example.test", table=table)
