"""Folders inside a maildir: what a mailbox's name is on the disk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore_relay_maildir.folder import MAX_NAME_BYTES
from mdacore_relay_maildir.subfolder import Place, folder_of


class TestFolderOf:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("Junk", ".Junk"),
            ("Lists.Python", ".Lists.Python"),
            ("my lists", ".my lists"),
            ("R&D", ".R&-D"),
            ("Entwürfe", ".Entw&APw-rfe"),
            ("台北", ".&U,BTFw-"),
            ("日本語", ".&ZeVnLIqe-"),
            ("\U0001f4e8", ".&2D3c6A-"),
        ],
    )
    def test_name_is_written_as_imap_servers_do(self, name: str, expected: str) -> None:
        """RFC 3501 §5.1.3; two of the examples are from there."""
        assert expected == folder_of(name)

    @pytest.mark.parametrize(
        "name", ["", "INBOX", "inbox", ".", "..", "a/b", "/", ".a", "a.", "a..b", "a\x00", "a\nb", "a\udcff", "x" * 255]
    )
    def test_what_is_no_folder_of_its_own_has_none(self, name: str) -> None:
        assert "" == folder_of(name)

    def test_longest_name_is_taken(self) -> None:
        assert "." + "x" * 254 == folder_of("x" * 254)

    @given(name=st.one_of(st.text(), st.text('./&ä"\\ab\x00', max_size=12)))
    def test_any_name_gives_a_plain_name_with_one_dot_or_none(self, name: str) -> None:
        folder = folder_of(name)

        assert folder == "" or (folder[0] == "." and folder[1] != "." and len(folder) > 1)
        assert "/" not in folder
        assert folder.isascii()
        assert folder.isprintable()
        assert len(folder) <= MAX_NAME_BYTES


class TestPlace:
    def test_path_leads_into_the_sub_folder(self) -> None:
        assert ("example.com", "bob") == Place(("example.com", "bob")).path
        assert ("example.com", "bob", ".Junk") == Place(("example.com", "bob"), ".Junk").path
