"""FolderTemplate: which folder an address gets, and which addresses get none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore_relay_maildir.folder import MAX_NAME_BYTES, FolderTemplate, UnsafeAddress


class TestTemplate:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("{domain}/{local}", ("example.com", "bob")),
            ("{address}", ("bob@example.com",)),
            ("{local}/Maildir", ("bob", "Maildir")),
            ("u-{local}-{local}", ("u-bob-bob",)),
            ("everybody", ("everybody",)),
        ],
    )
    def test_names_are_filled_in(self, text: str, expected: tuple[str, ...]) -> None:
        assert expected == FolderTemplate(text).folder("bob@example.com")

    @pytest.mark.parametrize(
        "text",
        ["", "/", "/{local}", "{local}/", "a//b", ".", "..", "../{local}", "{local}/..", "{user}", "{local", "local}",
         "{{local}}", "{}", "{Local}", "a\x00b", "a\nb", "x" * 256],
    )  # fmt: skip
    def test_what_is_no_safe_relative_path_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="folder"):
            FolderTemplate(text)

    @pytest.mark.parametrize("local", ["{domain}", "{local}", "{", "{address}x"])
    def test_braces_in_an_address_are_not_filled_in_again(self, local: str) -> None:
        assert ("example.com", local) == FolderTemplate("{domain}/{local}").folder(f"{local}@example.com")


class TestFolding:
    @pytest.mark.parametrize(
        "address",
        ["bob@example.com", "BOB@Example.Com", "bob@example.com.", '"bob"@example.com', '"b\\ob"@example.com'],
    )
    def test_spellings_of_one_mailbox_share_a_folder(self, address: str) -> None:
        assert ("example.com", "bob") == FolderTemplate("{domain}/{local}").folder(address)

    def test_case_is_kept_where_it_is_wanted(self) -> None:
        template = FolderTemplate("{domain}/{local}", is_case_folded=False)

        assert ("example.com", "Bob") == template.folder("Bob@EXAMPLE.com")

    def test_unicode_is_normalised(self) -> None:
        """RFC 6532 §3.1: ä in one character and in two is the same ä."""
        template = FolderTemplate("{address}")

        assert template.folder("\u00e4@\u00e4.example") == template.folder("a\u0308@a\u0308.example")

    def test_bare_name_gets_the_default_domain(self) -> None:
        """RFC 5321 §4.1.1.3: <Postmaster> without a domain is always taken."""
        template = FolderTemplate("{domain}/{local}", default_domain="MX.example.com")

        assert ("mx.example.com", "postmaster") == template.folder("Postmaster")

    def test_quoted_local_part_with_spaces_is_a_folder_with_spaces(self) -> None:
        assert ("john doe",) == FolderTemplate("{local}").folder('"John Doe"@example.com')


class TestUnsafeAddresses:
    @pytest.mark.parametrize(
        "address",
        [
            "..@example.com",
            ".@example.com",
            '".."@example.com',
            '"."@example.com',
            '"\\.\\."@example.com',
            "/@example.com",
            "/etc/passwd@example.com",
            "a/../../b@example.com",
            '"a/b"@example.com',
            "a\x00b@example.com",
            '""@example.com',
            "@example.com",
            "a\nb@example.com",
            "a\x1bb@example.com",
            "a\u202eb@example.com",
            "a\udcffb@example.com",
            "x" * (MAX_NAME_BYTES + 1) + "@example.com",
            "ä" * 128 + "@example.com",
            "bob@..",
            "bob@../..",
            "bob@a/b",
            "bob@a\x00b",
            "bob@" + "x" * (MAX_NAME_BYTES + 1),
        ],
    )
    @pytest.mark.parametrize("text", ["{domain}/{local}", "{address}", "x-{local}", "everybody"])
    def test_case_089_unsafe_half_is_refused_whatever_the_template(self, text: str, address: str) -> None:
        with pytest.raises(UnsafeAddress):
            FolderTemplate(text).folder(address)

    def test_case_089_name_of_255_bytes_is_taken(self) -> None:
        assert ("x" * 255,) == FolderTemplate("{local}").folder("x" * 255 + "@example.com")

    def test_case_089_part_that_grows_too_long_is_refused(self) -> None:
        with pytest.raises(UnsafeAddress):
            FolderTemplate("x{local}").folder("x" * 255 + "@example.com")

    @given(address=st.one_of(st.text(), st.text('./@"\\ab{}\x00', max_size=12)))
    def test_case_089_any_address_gives_plain_names_or_none(self, address: str) -> None:
        try:
            parts = FolderTemplate("{domain}/{local}/x{address}").folder(address)
        except UnsafeAddress:
            return

        assert 3 == len(parts)
        assert not {"", ".", ".."} & set(parts)
        assert not any("/" in part or "\x00" in part or len(part.encode()) > MAX_NAME_BYTES for part in parts)
