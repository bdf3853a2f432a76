from __future__ import annotations

import contextlib
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from h2r_bench.remote import wire
from h2r_bench.remote.wire import WireError

PLAIN = ["|b1", "|i1", "|u1", "<i2", "<i4", "<i8", "<u2", "<u4", "<u8", "<f2", "<f4", "<f8"]
arrays = hnp.arrays(st.sampled_from(PLAIN), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))

leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary()
messages = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def raw(data: Any = b"", dtype: Any = "<f4", shape: Any = (0,)) -> bytes:
    """An array as an adversary writes it."""
    return bytes(msgpack.packb({b"__ndarray__": True, b"data": data, b"dtype": dtype, b"shape": shape}))


@given(arrays)
def test_arrays_survive(array: np.ndarray) -> None:
    back = wire.unpack(wire.pack({"a": [array, array]}))["a"][1]
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    np.testing.assert_array_equal(back, array)
    assert back.flags.writeable


@given(messages)
def test_other_messages_survive(message: Any) -> None:
    assert wire.unpack(wire.pack(message)) == message


def test_the_bytes_are_openpis() -> None:
    array = np.array([[1.0, 2.0]], np.float32)
    fields = {b"__ndarray__": True, b"data": array.tobytes(), b"dtype": "<f4", b"shape": (1, 2)}
    scalar = {b"__npgeneric__": True, b"data": 2.5, b"dtype": "<f4"}
    assert wire.pack({"x": array, "y": np.float32(2.5)}) == msgpack.packb({"x": fields, "y": scalar})


def test_foreign_byte_order_is_understood() -> None:
    back = wire.unpack(raw(np.array([1, 2], ">i4").tobytes(), ">i4", (2,)))
    np.testing.assert_array_equal(back, [1, 2])
    assert back.dtype.isnative


@pytest.mark.parametrize("scalar", [np.float32(1.5), np.int64(-3), np.bool_(True)])
def test_scalars_survive(scalar: np.generic) -> None:
    back = wire.unpack(wire.pack(scalar))
    assert back == scalar
    assert back.dtype == scalar.dtype


@pytest.mark.parametrize(
    "value",
    [np.array([object()]), np.array(["text"]), np.array([1j]), np.zeros(1, "f4,f4"), object(), {1, 2}],
)
def test_what_is_not_plain_is_not_sent(value: Any) -> None:
    with pytest.raises(WireError):
        wire.pack(value)


BAD = {
    "nothing": b"",
    "no message": b"\xc1",
    "text": b"GET / HTTP/1.1",
    "two messages": b"\x01\x01",
    "torn": wire.pack(np.zeros(9))[:-1],
    "deep": b"\x91" * 5000 + b"\x01",
    "a list that is said to be huge": b"\xdd\xff\xff\xff\xff",
    "a long list": msgpack.packb([0] * (wire.MAX_ITEMS + 1)),
    "extension": msgpack.packb(msgpack.ExtType(4, b"pickled?")),
    "list as key": b"\x81\x91\x01\x01",
    "no unicode": b"\xa1\xff",
    "objects": raw(b"\0" * 8, "|O", (1,)),
    "records": raw(b"\0" * 8, "f4,f4", (1,)),
    "subarrays": raw(b"", "(1000000000,)f8", (0,)),
    "texts": raw(b"\0" * 4, "<U1", (1,)),
    "complex": raw(b"\0" * 8, "<c8", (1,)),
    "dates": raw(b"\0" * 8, "<M8[ns]", (1,)),
    "no dtype": raw(b"", 5, (0,)),
    "code as dtype": raw(b"", "__import__('os')", (0,)),
    "negative": raw(b"\0" * 4, "<f4", (-1,)),
    "absurd": raw(b"", "<f8", (2**62, 2**62)),
    "absurd and empty": raw(b"", "<f8", (2**62, 0)),
    "short": raw(b"\0" * 3, "<f4", (1,)),
    "long": raw(b"\0" * 8, "<f4", (1,)),
    "fractional": raw(b"\0" * 4, "<f4", (1.0,)),
    "boolean side": raw(b"\0" * 4, "<f4", (True,)),
    "no shape": raw(b"", "<f4", 7),
    "many dimensions": raw(b"\0" * 4, "<f4", (1,) * 9),
    "text as data": raw("aaaa", "<f4", (1,)),
    "scalar of text": msgpack.packb({b"__npgeneric__": True, b"data": "1", b"dtype": "<f4"}),
    "scalar too large": msgpack.packb({b"__npgeneric__": True, b"data": 300, b"dtype": "|u1"}),
}


@pytest.mark.parametrize("case", BAD)
def test_nonsense_is_refused(case: str) -> None:
    with pytest.raises(WireError):
        wire.unpack(BAD[case])


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(WireError):
        wire.unpack(data)


@given(arrays, st.data())
def test_any_damage_is_read_or_refused(array: np.ndarray, data: st.DataObject) -> None:
    damaged = bytearray(wire.pack({"actions": array}))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(WireError):
        wire.unpack(bytes(damaged))
