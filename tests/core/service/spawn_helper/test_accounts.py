"""Whom a name means, and as whom nothing runs."""

from __future__ import annotations

import pwd

import pytest

from mdacore.contracts import Account, UnknownUser, UserRefused
from mdacore.service.spawn_helper import accounts


def account(**changes):
    return Account(**{"name": "bob", "uid": 1000, "gid": 1000, "home": "/home/bob", **changes})


class TestFind:
    def test_a_user_is_found_as_the_system_knows_it(self):
        root = pwd.getpwnam("root")

        assert Account(name="root", uid=0, gid=0, home=root.pw_dir) == accounts.find_account("root")

    def test_one_that_is_surely_not_there_is_unknown(self):
        with pytest.raises(UnknownUser):
            accounts.find_account("no-such-user-here")

    def test_one_about_whom_the_database_did_not_answer_is_not_unknown(self, monkeypatch):
        """A directory server that is away must not bounce mail."""
        monkeypatch.setattr(accounts, "_lookup_error", lambda name: 5)

        with pytest.raises(OSError, match="the user database"):
            accounts.find_account("no-such-user-here")

    def test_a_name_with_a_nul_is_a_mistake(self):
        with pytest.raises(ValueError, match="null"):
            accounts.find_account("a\0b")


class TestCheck:
    def test_an_ordinary_user_may_be(self):
        accounts.check_account(account(), 1000)

    @pytest.mark.parametrize(
        ("who", "min_uid"),
        [
            (account(uid=0), 500),
            (account(uid=0), 0),
            (account(uid=499), 500),
            (account(gid=0), 500),
        ],
    )
    def test_root_its_group_and_low_numbers_may_not(self, who, min_uid):
        with pytest.raises(UserRefused):
            accounts.check_account(who, min_uid)


@pytest.mark.usefixtures("root")
def test_who_is_not_root_becomes_nobody_else(run_script):
    (error,) = run_script("""
import os
from mdacore.contracts import Account
from mdacore.service.spawn_helper.accounts import become_account
os.setresuid(65534, 65534, 65534)
try:
    become_account(Account(name="bob", uid=1000, gid=1000, home="/"))
except PermissionError as error:
    print(error)
""")

    assert "Operation not permitted" in error
