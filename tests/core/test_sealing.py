"""Encrypted files open as what was written, or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from screening.core.keyring import Key, KeyRing, exposed, make_key
from screening.core.sealing import (
    CHUNK,
    TAG,
    KeyMissing,
    SealBroken,
    SealedReader,
    header,
    open_header,
    seal,
)

pytestmark = pytest.mark.once

NAME = "images/ab/one.png"
EDGES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 17)


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    folder = tmp_path_factory.mktemp("keys")
    make_key(folder)
    return KeyRing(folder)


def sealed(ring: KeyRing, data: bytes, name: str = NAME) -> bytes:
    return b"".join(seal([data], ring.newest(), name))


def opened(ring: KeyRing, data: bytes, name: str = NAME) -> bytes:
    return SealedReader(io.BytesIO(data), ring, name).read()


@pytest.mark.parametrize("size", EDGES)
def test_what_was_sealed_comes_back_and_says_its_size(ring: KeyRing, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    reader = SealedReader(io.BytesIO(sealed(ring, data[:size])), ring, NAME)
    assert reader.size == size
    reader.verify()
    assert reader.read() == data[:size]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(max_size=CHUNK // 2), max_size=6),
    st.lists(st.tuples(st.integers(0, 4 * CHUNK), st.integers(0, CHUNK)), max_size=8),
)
def test_it_reads_like_the_plain_file_at_any_place(
    ring: KeyRing, blocks: list[bytes], looks: list[tuple[int, int]]
) -> None:
    plain = io.BytesIO(b"".join(blocks))
    data = b"".join(seal(blocks, ring.newest(), NAME))
    reader = io.BufferedReader(SealedReader(io.BytesIO(data), ring, NAME), 1000)
    for place, count in looks:
        plain.seek(place)
        reader.seek(place)
        assert reader.read(count) == plain.read(count)
    assert reader.seek(0, io.SEEK_END) == plain.seek(0, io.SEEK_END)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_byte_may_change(ring: KeyRing, data: st.DataObject) -> None:
    whole = bytearray(sealed(ring, b"x" * (CHUNK + 100)))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises((SealBroken, KeyMissing)):
        opened(ring, bytes(whole))


def test_no_byte_of_the_header_may_change(ring: KeyRing) -> None:
    good = sealed(ring, b"x")
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1
        with pytest.raises((SealBroken, KeyMissing)):
            opened(ring, bytes(bad))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2 * CHUNK + 300))
def test_a_file_that_was_cut_off_does_not_open(ring: KeyRing, length: int) -> None:
    whole = sealed(ring, b"x" * (2 * CHUNK + 50))
    with pytest.raises((SealBroken, KeyMissing)):
        opened(ring, whole[: min(length, len(whole) - 1)])


def test_cut_off_between_two_chunks_is_noticed_too(ring: KeyRing) -> None:
    data = sealed(ring, b"x" * (2 * CHUNK))
    with pytest.raises(SealBroken):
        opened(ring, data[: -(CHUNK + TAG)])


def test_chunks_of_another_order_do_not_open(ring: KeyRing) -> None:
    data = sealed(ring, b"a" * CHUNK + b"b" * CHUNK + b"c")
    front = len(data) - 2 * (CHUNK + TAG) - 1 - TAG
    first, second = data[front : front + CHUNK + TAG], data[front + CHUNK + TAG : -1 - TAG]
    with pytest.raises(SealBroken):
        opened(ring, data[:front] + second + first + data[-1 - TAG :])


def test_one_more_chunk_at_the_end_is_noticed(ring: KeyRing) -> None:
    data = sealed(ring, b"a" * CHUNK)
    with pytest.raises(SealBroken):
        opened(ring, data + data[-(CHUNK + TAG) :])


def test_a_file_opens_under_its_own_name_only(ring: KeyRing) -> None:
    with pytest.raises(SealBroken):
        opened(ring, sealed(ring, b"Nina's"), "images/ab/two.png")


def test_chunks_of_another_file_do_not_open(ring: KeyRing) -> None:
    """Not even with a header that names them: the data key is bound to the name."""
    lock, data_key = ring.newest(), b"k" * 32
    with pytest.raises(SealBroken):
        open_header(io.BytesIO(header(lock, data_key, "a")), ring, "b")


def test_the_newest_key_locks_and_all_open(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    first = make_key(tmp_path)
    old = sealed(ring, b"old")
    second = make_key(tmp_path)
    assert ring.newest().id == second.id > first.id
    assert opened(ring, old) == b"old"
    (tmp_path / f"{first.id}.key").unlink()
    with pytest.raises(KeyMissing):
        opened(ring, old)


def test_another_key_under_the_same_name_is_known_for_what_it_is(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path)
    key = make_key(tmp_path)
    data = sealed(ring, b"x")
    other = make_key(tmp_path / "elsewhere")
    text = (tmp_path / "elsewhere" / f"{other.id}.key").read_text()
    (tmp_path / f"{key.id}.key").write_text(text)
    with pytest.raises(KeyMissing):
        opened(ring, data)


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    key = make_key(tmp_path)
    path = tmp_path / f"{key.id}.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert exposed(tmp_path) == []
    path.chmod(0o604)
    assert exposed(tmp_path) == [path.name]
    with pytest.raises(KeyMissing):
        KeyRing(tmp_path).newest()


def test_no_key_shows_itself(tmp_path: Path) -> None:
    key = make_key(tmp_path)
    assert key.secret.hex() not in repr(key)
    assert str(key.secret) not in repr(key)
    assert Key(key.id, b"o" * 32).fingerprint != key.fingerprint
