"""Content codings: undone in whatever pieces, refused when damaged or a bomb."""

from __future__ import annotations

import contextlib
import gzip
import sys
import tracemalloc
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import brotli  # type: ignore[import-untyped]  # it has none
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from httpx_tw.client import decoding
from httpx_tw.client.decoding import (
    MAX_CODINGS,
    PIECE,
    BodyDecoder,
    accept_encoding,
    body_decoder,
)
from httpx_tw.errors import BodyTooLarge, DecodingError, DecompressionBomb

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}
VARIANTS = [*ENCODERS.items(), ("deflate", raw_deflate)]


def decoder(coding: str, **limits: Any) -> BodyDecoder:
    made = body_decoder(coding, **({"max_size": 0, "max_ratio": 0} | limits))
    assert made is not None
    return made


def decode(coding: str, *parts: bytes, **limits: Any) -> bytes:
    made = decoder(coding, **limits)
    decoded = b"".join(piece for part in parts for piece in made.feed(part))
    made.finish()
    return decoded


class DecodingTests(SynchronousTestCase):
    def test_every_coding_is_undone(self) -> None:
        for coding, encode in VARIANTS:
            for body in (b"", b"x", b"Hello, World!" * 1000, bytes(range(256)) * 999):
                self.assertEqual(decode(coding, encode(body)), body)

    @given(st.sampled_from(VARIANTS), st.binary(), st.data())
    def test_it_does_not_matter_how_it_was_split(
        self, variant: tuple[str, Callable[[bytes], bytes]], body: bytes, data: Any
    ) -> None:
        coding, encode = variant
        wire = encode(body)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)))))
        parts = [wire[a:b] for a, b in pairwise([0, *cuts, len(wire)])]
        self.assertEqual(decode(coding, *parts), body)

    def test_long_input_at_once_is_undone(self) -> None:
        body = bytes(MIB) + b"end"
        for coding, encode in VARIANTS:
            self.assertEqual(decode(coding, encode(body)), body)
        noise = zlib.compress(body, 0)  # stored, so as long as it was
        self.assertEqual(decode("deflate", noise), body)

    def test_no_bytes_are_no_body(self) -> None:
        for coding, _ in VARIANTS:
            self.assertEqual(decode(coding), b"")
            self.assertEqual(decode(coding, b""), b"")

    def test_codings_on_top_of_each_other_are_undone_last_first(self) -> None:
        body = b"Hello" * 99
        wire = brotli.compress(zlib.compress(gzip.compress(body)))
        self.assertEqual(decode("gzip, deflate, br", wire), body)
        self.assertEqual(decode(" GZIP ,,Deflate,identity , br", wire), body)

    def test_several_members_and_frames_are_one_body(self) -> None:
        for coding in ("gzip", "zstd"):
            wire = ENCODERS[coding](b"one, ") + ENCODERS[coding](b"two")
            self.assertEqual(decode(coding, wire), b"one, two")
            self.assertEqual(decode(coding, *[bytes([b]) for b in wire]), b"one, two")

    def test_zeros_behind_gzip_are_padding(self) -> None:
        wire = gzip.compress(b"one")
        self.assertEqual(decode("gzip", wire + bytes(100)), b"one")
        self.assertEqual(decode("gzip", wire, bytes(9), bytes(9)), b"one")


class SelectionTests(SynchronousTestCase):
    def test_nothing_to_undo_is_none(self) -> None:
        for coding in (None, "", ",", "identity", " Identity, "):
            self.assertIsNone(body_decoder(coding, max_size=0))

    def test_what_is_unknown_is_given_as_it_came(self) -> None:
        for coding in ("compress", "gzip, x-unknown", "aes128gcm", "g zip"):
            self.assertIsNone(body_decoder(coding, max_size=0))

    def test_codings_are_not_piled_up(self) -> None:
        self.assertIsNotNone(
            body_decoder(", ".join(["gzip"] * MAX_CODINGS), max_size=0)
        )
        many = ", ".join(["gzip"] * (MAX_CODINGS + 1))
        self.assertRaises(DecodingError, body_decoder, many, max_size=0)

    def test_what_is_asked_for_can_be_undone(self) -> None:
        self.assertEqual(accept_encoding(), "gzip, deflate, br, zstd")
        for coding in accept_encoding().split(", "):
            self.assertIsNotNone(body_decoder(coding, max_size=0))


class AbsenceTests(SynchronousTestCase):
    def without(self, *modules: str) -> str:
        for module in modules:
            kept = sys.modules.get(module)
            sys.modules[module] = None  # type: ignore[assignment]  # marks it absent
            if kept is not None:
                self.addCleanup(sys.modules.__setitem__, module, kept)
            else:
                self.addCleanup(sys.modules.pop, module)
        decoding._codings.cache_clear()
        self.addCleanup(decoding._codings.cache_clear)
        return accept_encoding()

    def test_without_packages_the_standard_library_does(self) -> None:
        absent = ("brotli", "brotlicffi", "compression.zstd", "backports.zstd")
        self.assertEqual(self.without(*absent), "gzip, deflate")
        self.assertIsNone(body_decoder("br", max_size=0))

    def test_a_brotli_that_cannot_be_stopped_is_not_used(self) -> None:
        class Old:
            class Decompressor:
                """Had no can_accept_more_data."""

        self.patch(decoding, "import_module", lambda _: Old)
        decoding._codings.cache_clear()
        self.addCleanup(decoding._codings.cache_clear)
        self.assertNotIn("br", accept_encoding())


class DamageTests(SynchronousTestCase):
    body = bytes(range(256)) * 40

    def test_a_body_cut_off_is_an_error_wherever_it_was_cut(self) -> None:
        for coding, encode in VARIANTS:
            wire = encode(self.body)
            for end in (1, 2, 3, len(wire) // 2, len(wire) - 1):
                with self.assertRaises(DecodingError, msg=(coding, end)):
                    decode(coding, wire[:end])

    def test_a_chain_cut_off_inside_is_an_error(self) -> None:
        wire = gzip.compress(zlib.compress(self.body)[:-1])
        self.assertRaises(DecodingError, decode, "deflate, gzip", wire)

    def test_a_body_in_another_coding_is_an_error(self) -> None:
        for coding, _ in VARIANTS:
            self.assertRaises(DecodingError, decode, coding, b"<html>" * 9)
            self.assertRaises(DecodingError, decode, coding, b"\xff" * 99)

    def test_bytes_behind_the_end_are_an_error(self) -> None:
        for coding, encode in VARIANTS:
            wire = encode(self.body)
            for parts in (
                (wire + b"x",),
                (wire, b"x"),
                (wire, b"\0\0x"),
                (wire, b"<a>"),
            ):
                with self.assertRaises(DecodingError, msg=(coding, parts[1:])):
                    decode(coding, *parts)

    def test_a_wrong_checksum_is_an_error(self) -> None:
        wire = gzip.compress(self.body)
        damaged = wire[:-8] + bytes(4) + wire[-4:]
        self.assertRaises(DecodingError, decode, "gzip", damaged)

    @given(st.sampled_from(VARIANTS), st.binary(min_size=1), st.data())
    def test_any_bytes_are_decoded_or_refused(
        self, variant: tuple[str, Callable[[bytes], bytes]], noise: bytes, data: Any
    ) -> None:
        coding, encode = variant
        wire = bytearray(encode(self.body))
        at = data.draw(st.integers(0, len(wire) - 1))
        wire[at : at + len(noise)] = noise
        for broken in (bytes(wire), noise):
            with contextlib.suppress(DecodingError, DecompressionBomb):
                decode(coding, broken, max_size=MIB)


class BombTests(SynchronousTestCase):
    def bomb(self, coding: str, size: int = 16 * MIB) -> bytes:
        encode: Any = raw_deflate if coding == "raw" else ENCODERS[coding]
        return bytes(encode(bytes(size)))

    def test_more_than_the_limit_is_refused_at_the_limit(self) -> None:
        for coding, encode in VARIANTS:
            taken = 0
            pieces = decoder(coding, max_size=MIB).feed(encode(bytes(16 * MIB)))
            with self.assertRaises(DecompressionBomb):
                for piece in pieces:
                    taken += len(piece)
            self.assertLessEqual(taken, MIB)
            self.assertGreater(taken, MIB - 2 * PIECE)
        self.assertTrue(issubclass(DecompressionBomb, BodyTooLarge))

    def test_exactly_the_limit_is_taken(self) -> None:
        for coding, encode in VARIANTS:
            self.assertEqual(len(decode(coding, encode(bytes(MIB)), max_size=MIB)), MIB)

    def test_more_than_the_ratio_is_refused(self) -> None:
        for coding, encode in VARIANTS:
            wire = encode(bytes(4 * MIB))
            self.assertRaises(DecompressionBomb, decode, coding, wire, max_ratio=200)
            # Not before there is something to speak of.
            small = encode(bytes(MIB))
            self.assertEqual(len(decode(coding, small, max_ratio=200)), MIB)

    def test_what_is_hidden_inside_is_counted_too(self) -> None:
        # All of the inner layer is thrown away: empty members, one after the other.
        inner = gzip.compress(b"") * 400_000
        wire = gzip.compress(inner)
        self.assertRaises(DecompressionBomb, decode, "gzip, gzip", wire, max_size=MIB)
        self.assertRaises(DecompressionBomb, decode, "gzip, gzip", wire, max_ratio=200)

    def test_no_piece_is_large(self) -> None:
        for coding, encode in VARIANTS:
            for piece in decoder(coding).feed(encode(bytes(MIB))):
                self.assertTrue(0 < len(piece) <= 2 * PIECE)

    def test_a_small_piece_never_takes_much_memory(self) -> None:
        for coding, encode in VARIANTS:
            wire = encode(bytes(16 * MIB))
            pieces = decoder(coding).feed(wire)
            tracemalloc.start()
            try:
                for _ in zip(range(50), pieces, strict=False):
                    pass
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            self.assertLess(peak, 2 * MIB, coding)

    def test_nothing_is_done_before_it_is_asked_for(self) -> None:
        pieces = decoder("gzip").feed(b"this is no gzip")
        self.assertRaises(DecodingError, next, pieces)

    def test_a_window_larger_than_http_has_is_refused(self) -> None:
        options: Any = {zstd.CompressionParameter.window_log: 24}
        compressor = zstd.ZstdCompressor(options=options)
        wire = compressor.compress(bytes(32 * MIB)) + compressor.flush()
        self.assertRaises(DecodingError, decode, "zstd", wire)
