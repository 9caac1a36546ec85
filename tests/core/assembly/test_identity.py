"""What `[service]` says about the process, proved before anything is started."""

from __future__ import annotations

import grp
import os
import pwd

import pytest

from mdacore import ConfigError
from mdacore.assembly.config import ServiceKeys
from mdacore.assembly.identity import find_identity

ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def problems_of(plan_of, good):
    """What is wrong with a configuration with these lines in `[service]`."""

    def find(lines):
        with pytest.raises(ConfigError) as caught:
            plan_of(f"[service]\n{lines}\n{good}")
        return [(problem.key, problem.text) for problem in caught.value.problems]

    return find


@pytest.fixture
def as_user(monkeypatch):
    """As if this process were not root's."""
    monkeypatch.setattr(os, "geteuid", lambda: pwd.getpwnam("daemon").pw_uid)


class TestNames:
    def test_a_user_that_nobody_knows_is_a_problem(self, problems_of):
        assert [("service.user", "there is no user 'mdacroe'")] == problems_of('user = "mdacroe"')

    @pytest.mark.parametrize(
        ("line", "key"),
        [
            ('group = "nogroop"', "service.group"),
            ('supplementary_groups = ["mail", "nogroop"]', "service.supplementary_groups[1]"),
        ],
    )
    def test_so_is_a_group(self, problems_of, line, key):
        assert [(key, "there is no group 'nogroop'")] == problems_of(f'user = "{ME}"\n{line}')

    def test_a_group_without_a_user_is_a_problem(self, problems_of):
        assert [("service.group", "means nothing without a user")] == problems_of('group = "mail"')

    def test_a_name_that_no_user_can_have_is_a_problem(self, problems_of):
        ((key, text),) = problems_of('user = "a:b"')

        assert ("service.user", True) == (key, "is not a name" in text)

    def test_nobody_named_is_nobody(self):
        assert find_identity(ServiceKeys()) is None

    def test_the_groups_of_a_user_are_its_own_and_those_asked_for(self):
        nobody = pwd.getpwnam("nobody")

        identity = find_identity(ServiceKeys(user="nobody", supplementary_groups=("mail",)))

        assert nobody.pw_gid == identity.gid
        assert {nobody.pw_gid, grp.getgrnam("mail").gr_gid} == identity.groups


@pytest.mark.usefixtures("as_user")
class TestWithoutRoot:
    def test_another_user_is_a_problem(self, problems_of):
        assert [("service.user", "only root can become 'nobody', and this is 'daemon'")] == problems_of(
            'user = "nobody"'
        )

    def test_oneself_is_none(self, plan_of, good):
        plan_of(f'[service]\nuser = "daemon"\n{good}')

    def test_the_spawn_helper_is_one(self, problems_of):
        ((key, text),) = problems_of("spawn_helper = true")

        assert ("service.spawn_helper", True) == (key, text.startswith("only root can"))


class TestPidFile:
    def test_it_needs_its_folder(self, problems_of, tmp_path):
        assert [("service.pid_file", "there is no folder /nonexistent")] == problems_of(
            'pid_file = "/nonexistent/mda.pid"'
        )

    def test_one_in_the_state_folder_does_not(self, plan_of, good):
        plan_of(f'[service]\npid_file = "mda.pid"\n{good}')
