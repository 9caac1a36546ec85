"""Reply: whatever exists can be sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore.words import Reply, printable


class TestConstruction:
    @given(code=st.integers(200, 599), subject=st.integers(0, 999), detail=st.integers(0, 999))
    def test_enhanced_code_of_the_same_class_is_taken(self, code: int, subject: int, detail: int) -> None:
        enhanced = "" if code // 100 == 3 else f"{code // 100}.{subject}.{detail}"

        assert enhanced == Reply(code=code, enhanced=enhanced).enhanced

    @pytest.mark.parametrize(("code", "expected"), [(250, "2.0.0"), (451, "4.0.0"), (550, "5.0.0"), (354, "")])
    def test_left_out_enhanced_code_is_the_class_alone(self, code: int, expected: str) -> None:
        assert expected == Reply(code=code).enhanced

    @pytest.mark.parametrize("code", [-250, 0, 25, 199, 600, 2500])
    def test_code_outside_of_200_to_599_is_refused(self, code: int) -> None:
        with pytest.raises(ValueError, match="reply code"):
            Reply(code=code)

    @pytest.mark.parametrize(
        ("code", "enhanced"),
        [(250, "4.0.0"), (550, "4.7.1"), (250, ""), (250, "2.0"), (250, "2.0.1000"), (250, "2.0.0 x"), (250, "2.٠.0"),
         (250, "2.0.0\r\n"), (354, "3.0.0"), (354, "2.0.0")],
    )  # fmt: skip
    def test_enhanced_code_that_does_not_fit_is_refused(self, code: int, enhanced: str) -> None:
        with pytest.raises(ValueError, match="does not fit"):
            Reply(code=code, enhanced=enhanced)

    @pytest.mark.parametrize("unsafe", ["\r", "\x00", "\t", "\x1b[2J", "\x7f", "\x85", "\u2028", "\u2029", "\ud800"])
    def test_text_with_what_could_end_or_forge_a_line_is_refused(self, unsafe: str) -> None:
        with pytest.raises(ValueError, match="not printable"):
            Reply(code=250, text=f"a{unsafe}b")

    def test_text_of_many_lines_is_taken(self) -> None:
        assert "a\nb" == Reply(code=250, text="a\nb").text

    def test_text_of_more_than_2000_characters_is_refused(self) -> None:
        Reply(code=250, text="x" * 2000)

        with pytest.raises(ValueError, match="too long"):
            Reply(code=250, text="x" * 2001)


class TestParse:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("550 5.7.1 Relaying denied", Reply(code=550, enhanced="5.7.1", text="Relaying denied")),
            ("550 Relaying denied", Reply(code=550, enhanced="5.0.0", text="Relaying denied")),
            ("550 5.7.1", Reply(code=550, enhanced="5.7.1")),
            ("250", Reply(code=250)),
            ("250 ", Reply(code=250)),
            ("354 Go ahead", Reply(code=354, text="Go ahead")),
            ("250  2.0.0   Ok", Reply(code=250, enhanced="2.0.0", text="Ok")),
            ("550 5.7.1x Denied", Reply(code=550, text="5.7.1x Denied")),
            ("250 2.0.0 two\nlines", Reply(code=250, enhanced="2.0.0", text="two\nlines")),
        ],
    )
    def test_reply_with_and_without_its_parts(self, line: str, expected: Reply) -> None:
        assert expected == Reply.parse(line)

    @pytest.mark.parametrize(
        "line", ["", "Ok", "25", "2500", "250Ok", "150 x", "600 x", " 250 Ok", "250\tOk", "250 Ok\r\n", "250 4.0.0 Ok",
                 "5٠٠ no", "٢50 no", "250-Ok"]
    )  # fmt: skip
    def test_what_is_no_reply_is_refused(self, line: str) -> None:
        with pytest.raises(ValueError):
            Reply.parse(line)

    @given(code=st.integers(200, 599), text=st.text(st.characters(exclude_categories=("C", "Z")), max_size=40))
    def test_written_reply_reads_as_itself(self, code: int, text: str) -> None:
        reply = Reply(code=code, text=text)

        assert reply == Reply.parse(str(reply))


class TestKinds:
    @pytest.mark.parametrize(
        ("code", "expected"),
        [(250, (True, False, False)), (299, (True, False, False)), (354, (False, False, False)),
         (421, (False, True, False)), (499, (False, True, False)), (500, (False, False, True))],
    )  # fmt: skip
    def test_kind_is_the_first_digit(self, code: int, expected: tuple[bool, bool, bool]) -> None:
        reply = Reply(code=code)

        assert expected == (reply.is_success, reply.is_transient, reply.is_permanent)


class TestPrintable:
    @given(text=st.text(), max_chars=st.integers(1, 50))
    def test_any_text_becomes_fit_for_a_reply_of_one_line(self, text: str, max_chars: int) -> None:
        made = printable(text, max_chars)

        assert len(made) <= max_chars
        assert "\n" not in made
        Reply(code=250, text=made)

    def test_runs_of_control_characters_become_one_space(self) -> None:
        assert "a b" == printable("\r\n a\x00\x1b\tb \n")

    def test_cut_text_says_so(self) -> None:
        assert "abc…" == printable("abcdef", 4)
