"""Templates are filled in once, by known names only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore_relay_lda.template import NAMES, Template, UnsafeValue

VALUES = dict.fromkeys(NAMES, "x") | {"recipient": "bob@example.test", "sender": "", "user": "bob"}


class TestReading:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("-d", "-d"),
            ("{recipient}", "bob@example.test"),
            ("a{user}b{sender}c", "abobbc"),
            ("{{user}}", "{user}"),
            ("{{{user}}}", "{bob}"),
            ("%s ${{HOME}} $(id)", "%s ${HOME} $(id)"),
            ("", ""),
        ],
    )
    def test_known_names_are_filled_in_and_nothing_else(self, text, expected):
        assert expected == Template(text).expand(VALUES)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("{sendr}", "did you mean {sender}?"),
            ("{0.__class__}", "nothing is called {0.__class__}"),
            ("{sender.__class__}", "nothing is called"),
            ("{sender!r:>9}", "nothing is called"),
            ("{}", "nothing is called {}"),
            ("{sender", "written twice"),
            ("sender}", "written twice"),
            ("a\0b", "NUL"),
        ],
    )
    def test_anything_else_in_braces_is_an_error_of_the_configuration(self, text, reason):
        with pytest.raises(ValueError) as caught:
            Template(text)

        assert reason in str(caught.value)

    @given(value=st.text(alphabet=st.sampled_from("{}%$`ab.@senr"), max_size=20))
    def test_what_is_filled_in_is_never_looked_at_again(self, value):
        assert f"<{value}|{value}>" == Template("<{sender}|{recipient}>").expand(
            VALUES | {"sender": value, "recipient": value}
        )


class TestOptions:
    def test_a_value_never_turns_an_argument_into_an_option(self):
        with pytest.raises(UnsafeValue):
            Template("{extension}").expand(VALUES | {"extension": "-x"})

    def test_a_value_behind_an_empty_one_does_not_either(self):
        with pytest.raises(UnsafeValue):
            Template("{sender}{extension}").expand(VALUES | {"extension": "-x"})

    def test_an_argument_that_is_an_option_stays_one(self):
        assert "--for=-x" == Template("--for={extension}").expand(VALUES | {"extension": "-x"})

    def test_an_operator_may_allow_it(self):
        assert "-x" == Template("{extension}").expand(VALUES | {"extension": "-x"}, allows_dash=True)


class TestPaths:
    @pytest.mark.parametrize(
        "text",
        [
            "/mail/{user}",
            "/mail/{user}/x",
            "--dir=/mail/{user}",
            "./{user}",
            "HOME=/{user}",
            "-I/mail/{user}",
            "{user}/Maildir",
            "--dir={user}/x",
            "maildir:{user}/x",
            "mail_location=maildir:/mail/{user}:INBOX=/mail/{user}/in",
        ],
    )
    @pytest.mark.parametrize("value", ["..", ".", "../../etc/x", "a/b", "/etc"])
    def test_no_value_leaves_the_folder_of_a_path(self, text, value):
        with pytest.raises(UnsafeValue):
            Template(text).expand(VALUES | {"user": value})

    def test_values_do_not_leave_it_together_either(self):
        with pytest.raises(UnsafeValue):
            Template("/mail/{user}{extension}").expand(VALUES | {"user": ".", "extension": "."})

    @pytest.mark.parametrize("value", ["bob", "...", "a..b", ".bob", "~root"])
    def test_plain_names_are_taken(self, value):
        assert f"/mail/{value}/Maildir" == Template("/mail/{user}/Maildir").expand(VALUES | {"user": value})

    def test_dots_of_the_operator_are_his_own(self):
        assert "/mail/../bob" == Template("/mail/../{user}").expand(VALUES)
        assert "--dir=../bob" == Template("--dir=../{user}").expand(VALUES)

    def test_what_is_no_path_takes_a_slash(self):
        assert "SRS0=a/b=c@d" == Template("{sender}").expand(VALUES | {"sender": "SRS0=a/b=c@d"})
