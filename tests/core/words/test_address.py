"""Addresses: their halves, and when two of them name one mailbox."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdacore.words import domain_of, fold_domain, mailbox_key, split_address


class TestSplitAddress:
    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            ("a@b.example", ("a", "b.example")),
            ('"a@b"@c', ('"a@b"', "c")),
            ("postmaster", ("postmaster", "")),
            ("", ("", "")),
            ("a@", ("a", "")),
            ("@b", ("", "b")),
            ("a@[IPv6:::1]", ("a", "[IPv6:::1]")),
        ],
    )
    def test_last_at_sign_divides(self, address: str, expected: tuple[str, str]) -> None:
        assert expected == split_address(address)

    @given(local=st.text(), domain=st.text(st.characters(exclude_characters="@")))
    def test_halves_of_any_joined_address_come_back(self, local: str, domain: str) -> None:
        assert (local, domain) == split_address(f"{local}@{domain}")


class TestFolding:
    @pytest.mark.parametrize(("domain", "expected"), [("Example.COM", "example.com"), ("a.", "a"), ("", ""), (".", "")])
    def test_domain_is_lower_case_without_its_final_dot(self, domain: str, expected: str) -> None:
        assert expected == fold_domain(domain)

    def test_domain_of_an_address_is_folded(self) -> None:
        assert "example.com" == domain_of("A@Example.COM.")

    def test_domain_of_a_bare_name_is_empty(self) -> None:
        assert "" == domain_of("postmaster")

    def test_local_part_is_compared_exactly(self) -> None:
        """RFC 5321 §2.4: only the final host may know better."""
        assert mailbox_key("a@Example.com.") == mailbox_key("a@example.COM")
        assert mailbox_key("a@example.com") != mailbox_key("A@example.com")
