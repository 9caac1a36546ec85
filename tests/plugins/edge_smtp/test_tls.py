"""One session's TLS without a socket: handshakes in any pieces, failures, and what never leaves in clear."""

from __future__ import annotations

import pytest
from gevent import ssl

from mdacore_edge_smtp.certificates import Pair, prove
from mdacore_edge_smtp.tls import TlsError, TlsLayer

from .tls_files import make_pair, trusting


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return make_pair(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def context(pair):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    return context


class Peer:
    """A client of OpenSSL's, and the layer that it talks to."""

    def __init__(self, layer: TlsLayer, context: ssl.SSLContext) -> None:
        self.layer = layer
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self.incoming, self.outgoing, server_hostname="mx.example.com")

    def shake_hands(self, piece_bytes: int = 65_536) -> None:
        for _ in range(3):
            self.take(self.layer.to_send())
            self.try_to(self.object.do_handshake)
            self.deliver(piece_bytes)

    def deliver(self, piece_bytes: int = 65_536) -> bytes:
        data = self.outgoing.read()
        pieces = [data[start : start + piece_bytes] for start in range(0, len(data), piece_bytes)]
        return b"".join(self.layer.receive(piece) for piece in pieces)

    def take(self, octets: bytes) -> None:
        self.incoming.write(octets)

    @staticmethod
    def try_to(step) -> None:
        try:
            step()
        except ssl.SSLWantReadError:
            return


@pytest.fixture
def layer(context):
    return TlsLayer(lambda name: context)


@pytest.fixture
def peer(layer, pair):
    return Peer(layer, trusting(pair[0]))


class TestHandshake:
    @pytest.mark.parametrize("piece_bytes", [1, 65_536])
    def test_it_is_done_in_any_pieces(self, peer, layer, piece_bytes):
        peer.shake_hands(piece_bytes)

        assert layer.is_established
        assert ("TLSv1.3", "TLS_AES_256_GCM_SHA384") == (layer.version, layer.cipher)

    def test_the_context_is_chosen_by_the_name_asked_for(self, context, pair):
        names = []

        def choose(name: str) -> ssl.SSLContext:
            names.append(name)
            return context

        Peer(TlsLayer(choose), trusting(pair[0])).shake_hands()

        assert ["mx.example.com"] == names

    def test_what_comes_right_behind_it_is_not_lost(self, peer, layer):
        peer.try_to(peer.object.do_handshake)
        peer.deliver()
        peer.take(layer.to_send())
        peer.object.do_handshake()
        peer.object.write(b"EHLO client\r\n")

        assert b"EHLO client\r\n" == peer.deliver()

    @pytest.mark.parametrize("data", [b"EHLO client\r\n", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", b"\0" * 100])
    def test_octets_that_are_no_handshake_end_it(self, layer, data):
        with pytest.raises(TlsError, match="TLS: "):
            layer.receive(data)

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
    def test_case_044_old_versions_are_refused_with_an_alert(self, layer, pair, version):
        old = trusting(pair[0])
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = old.maximum_version = version
        peer = Peer(layer, old)
        peer.try_to(peer.object.do_handshake)

        with pytest.raises(TlsError, match="TLS: unsupported protocol"):
            peer.deliver()

        assert layer.to_send()[:1] == b"\x15"

    @pytest.mark.parametrize("ciphers", ["NULL", "AECDH", "CAMELLIA", "ARIA128"])
    def test_case_044_weak_ciphers_are_refused(self, layer, pair, ciphers):
        weak = trusting(pair[0])
        weak.maximum_version = ssl.TLSVersion.TLSv1_2
        weak.set_ciphers(f"{ciphers}:@SECLEVEL=0")
        peer = Peer(layer, weak)
        peer.try_to(peer.object.do_handshake)

        with pytest.raises(TlsError, match=r"no shared cipher|unsupported"):
            peer.deliver()


class TestData:
    def test_it_goes_both_ways_in_any_size(self, peer, layer):
        peer.shake_hands()
        peer.take(layer.to_send())
        large = bytes(range(256)) * 400
        peer.object.write(large[:16_000])

        assert large[:16_000] == peer.deliver(1000)
        peer.take(layer.encrypt(large))
        received = b""
        while len(received) < len(large):
            received += peer.object.read(65_536)
        assert large == received

    def test_nothing_is_encrypted_before_the_handshake_and_nothing_leaves_in_clear(self, layer):
        assert b"" == layer.encrypt(b"220 hello\r\n")
        with pytest.raises(TlsError):
            layer.receive(b"EHLO client\r\n")
        assert b"500 secret" not in layer.encrypt(b"500 secret\r\n")

    def test_a_damaged_record_ends_it_and_what_is_said_then_stays_unsaid(self, peer, layer):
        peer.shake_hands()
        peer.object.write(b"NOOP\r\n")
        data = bytearray(peer.outgoing.read())
        data[-1] ^= 1

        with pytest.raises(TlsError):
            layer.receive(bytes(data))

        assert b"250 Ok" not in layer.encrypt(b"250 Ok\r\n")

    def test_the_clients_goodbye_is_noticed_after_what_it_said(self, peer, layer):
        peer.shake_hands()
        peer.take(layer.to_send())
        peer.object.write(b"QUIT\r\n")
        peer.try_to(peer.object.unwrap)

        assert b"QUIT\r\n" == peer.deliver()
        assert layer.is_ended

    def test_our_goodbye_is_noticed_too(self, peer, layer):
        peer.shake_hands()
        peer.take(layer.to_send())

        peer.take(layer.farewell())

        assert b"" == peer.object.read(100)

    def test_a_layer_without_a_session_says_no_goodbye(self, layer):
        assert b"" == layer.farewell()


class TestRenegotiation:
    def test_case_044_it_is_switched_off_where_contexts_are_made(self, pair):
        context = prove(Pair(key_path="x", certificate=pair[0], key=pair[1]), min_version="1.2").context

        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.options & ssl.OP_NO_COMPRESSION
        assert ssl.TLSVersion.TLSv1_2 == context.minimum_version
