"""The words of notices: fields, one pass, and what an operator is told about a bad file."""

from __future__ import annotations

import pytest

from mdacore.queue.notices import FIELDS, Kind, NoticeText, default_texts

DEFAULT = NoticeText(subject="Default", body="Default")


def values(**given):
    return {**dict.fromkeys(FIELDS, "-"), **given}


class TestParse:
    def test_a_file_is_the_text(self):
        assert NoticeText(subject="Default", body="Hello\n") == NoticeText.parse("Hello\n", DEFAULT)

    @pytest.mark.parametrize("text", ["Subject: New\n\nHello\n", "\ufeffsubject:New  \r\n\r\nHello\r\n"])
    def test_a_subject_stands_before_an_empty_line(self, text):
        assert NoticeText(subject="New", body="Hello\n") == NoticeText.parse(text, DEFAULT)

    def test_a_line_like_a_subject_without_an_empty_line_is_text(self):
        assert NoticeText(subject="Default", body="Subject: x\nHello") == NoticeText.parse("Subject: x\nHello", DEFAULT)

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("Dear ${name}", r"\$\{name\} is no field; there are \$\{arrived\}, .*\$\{tried_hours\}"),
            ("$recipient and $foo", r"\$\{foo\}, \$\{recipient\} is no field"),
            ("It costs 5$.", "a \\$ is neither that of a field"),
            ("", "the text is empty"),
            ("Subject: x\n\n \n", "the text is empty"),
            ("Subject: ${recipients}\n\nx", r"\$\{recipients\} has many lines"),
            ("Subject: \n\nx", "the subject is one line"),
            ("\x1b[31mRed", "control characters"),
        ],
    )
    def test_what_is_wrong_is_said(self, text, problem):
        with pytest.raises(ValueError, match=problem):
            NoticeText.parse(text, DEFAULT)


class TestRendered:
    def test_fields_are_replaced_in_one_pass(self):
        """What stands in an address is no field."""
        text = NoticeText(subject="To ${sender}", body="$sender: $$5, ${recipients}")

        assert ("To $hostname", "$hostname: $5, ${sender}") == text.rendered(
            values(sender="$hostname", recipients="${sender}", hostname="secret")
        )

    def test_every_field_can_be_used(self):
        text = NoticeText(subject="x", body=" ".join(f"${{{field}}}" for field in FIELDS))

        assert ("x", " ".join(FIELDS)) == text.rendered({field: field for field in FIELDS})

    @pytest.mark.parametrize("kind", Kind)
    def test_each_kind_has_words_that_fit_a_terminal(self, kind):
        text = default_texts()[kind]

        assert "${recipients}" in text.body
        assert max(map(len, text.body.splitlines())) < 79
        assert text.body.isascii()
