"""FolderTemplate: which maildir an address gets, and which addresses get none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore_relay_maildir.folder import MAX_NAME_BYTES, FolderTemplate, Mailbox, UnsafeAddress


class TestTemplate:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("{domain}/{user}", ("example.com", "bob")),
            ("{domain}/{local}", ("example.com", "bob")),
            ("tag-{extension}", ("tag-",)),
            ("{address}", ("bob@example.com",)),
            ("{local}/Maildir", ("bob", "Maildir")),
            ("u-{local}-{local}", ("u-bob-bob",)),
            ("everybody", ("everybody",)),
        ],
    )
    def test_names_are_filled_in(self, text: str, expected: tuple[str, ...]) -> None:
        assert expected == FolderTemplate(text).mailbox("bob@example.com").maildir

    @pytest.mark.parametrize(
        "text",
        ["", "/", "/{local}", "{local}/", "a//b", ".", "..", "../{local}", "{local}/..", "{name}", "{extension}",
         "a/{extension}", "{local", "local}",
         "{{local}}", "{}", "{Local}", "a\x00b", "a\nb", "x" * 256],
    )  # fmt: skip
    def test_what_is_no_safe_relative_path_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="folder"):
            FolderTemplate(text)

    @pytest.mark.parametrize("local", ["{domain}", "{local}", "{", "{address}x"])
    def test_braces_in_an_address_are_not_filled_in_again(self, local: str) -> None:
        assert ("example.com", local) == FolderTemplate("{domain}/{local}").mailbox(f"{local}@example.com").maildir


class TestFolding:
    @pytest.mark.parametrize(
        "address",
        ["bob@example.com", "BOB@Example.Com", "bob@example.com.", '"bob"@example.com', '"b\\ob"@example.com'],
    )
    def test_spellings_of_one_mailbox_share_a_folder(self, address: str) -> None:
        assert ("example.com", "bob") == FolderTemplate("{domain}/{local}").mailbox(address).maildir

    def test_case_is_kept_where_it_is_wanted(self) -> None:
        template = FolderTemplate("{domain}/{local}", is_case_folded=False)

        assert ("example.com", "Bob") == template.mailbox("Bob@EXAMPLE.com").maildir

    def test_unicode_is_normalised(self) -> None:
        """RFC 6532 §3.1: ä in one character and in two is the same ä."""
        template = FolderTemplate("{address}")

        assert template.mailbox("\u00e4@\u00e4.example").maildir == template.mailbox("a\u0308@a\u0308.example").maildir

    def test_bare_name_gets_the_default_domain(self) -> None:
        """RFC 5321 §4.1.1.3: <Postmaster> without a domain is always taken."""
        template = FolderTemplate("{domain}/{local}", default_domain="MX.example.com")

        assert ("mx.example.com", "postmaster") == template.mailbox("Postmaster").maildir

    def test_quoted_local_part_with_spaces_is_a_folder_with_spaces(self) -> None:
        assert ("john doe",) == FolderTemplate("{local}").mailbox('"John Doe"@example.com').maildir


class TestSubAddresses:
    @pytest.mark.parametrize(
        ("address", "user", "extension"),
        [
            ("bob@example.com", "bob", ""),
            ("bob+lists@example.com", "bob", "lists"),
            ("Bob+Lists@example.com", "bob", "Lists"),
            ("bob+a+b@example.com", "bob", "a+b"),
            ("bob+@example.com", "bob", ""),
            ("+lists@example.com", "+lists", ""),
            ("++lists@example.com", "+", "lists"),
            ('"bob+my lists"@example.com', "bob", "my lists"),
            ('"bob+../x"@example.com', None, None),
            ("bob+..@example.com", "bob", ".."),
            ("a\u0308+a\u0308@example.com", "\u00e4", "\u00e4"),
        ],
    )
    def test_local_part_is_split_at_the_first_delimiter_behind_the_user(
        self, address: str, user: str | None, extension: str
    ) -> None:
        template = FolderTemplate("{user}", delimiter="+")
        if user is None:
            with pytest.raises(UnsafeAddress):
                template.mailbox(address)
            return

        assert Mailbox((user,), extension) == template.mailbox(address)

    def test_without_a_delimiter_there_are_no_sub_addresses(self) -> None:
        assert Mailbox(("bob+lists",)) == FolderTemplate("{user}").mailbox("bob+lists@example.com")

    def test_delimiter_may_have_several_characters(self) -> None:
        assert Mailbox(("a-b",), "c") == FolderTemplate("{user}", delimiter="--").mailbox("a-b--c@example.com")

    @pytest.mark.parametrize(
        ("text", "maildir"),
        [
            ("{local}", ("bob+lists",)),
            ("{address}", ("bob+lists@example.com",)),
            ("{user}/x-{extension}", ("bob", "x-lists")),
        ],
    )
    def test_sub_address_that_the_template_uses_asks_for_no_sub_folder(self, text: str, maildir: tuple[str]) -> None:
        assert Mailbox(maildir) == FolderTemplate(text, delimiter="+").mailbox("Bob+Lists@example.com")


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
            FolderTemplate(text).mailbox(address)

    def test_case_089_name_of_255_bytes_is_taken(self) -> None:
        assert ("x" * 255,) == FolderTemplate("{local}").mailbox("x" * 255 + "@example.com").maildir

    def test_case_089_part_that_grows_too_long_is_refused(self) -> None:
        with pytest.raises(UnsafeAddress):
            FolderTemplate("x{local}").mailbox("x" * 255 + "@example.com")

    @pytest.mark.parametrize("address", ['".bob"@example.com', '".ssh+x"@example.com', "bob@.example.com"])
    @pytest.mark.parametrize("text", ["{domain}/{user}", "{domain}/{local}"])
    def test_case_089_address_never_makes_a_hidden_folder(self, text: str, address: str) -> None:
        """In a home it might be ``.ssh``; in a maildir, another user's sub-folder."""
        with pytest.raises(UnsafeAddress, match="hidden"):
            FolderTemplate(text, delimiter="+").mailbox(address)

    def test_hidden_folder_of_the_template_is_meant(self) -> None:
        assert ("bob", ".maildir") == FolderTemplate("{user}/.maildir").mailbox("bob@example.com").maildir

    @given(address=st.one_of(st.text(), st.text('./@"\\ab{}\x00', max_size=12)))
    def test_case_089_any_address_gives_plain_names_or_none(self, address: str) -> None:
        try:
            parts = FolderTemplate("{domain}/{user}/x{address}", delimiter="{").mailbox(address).maildir
        except UnsafeAddress:
            return

        assert 3 == len(parts)
        assert not {"", ".", ".."} & set(parts)
        assert not any("/" in part or "\x00" in part or len(part.encode()) > MAX_NAME_BYTES for part in parts)
