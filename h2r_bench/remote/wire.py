"""Messages of NumPy arrays as msgpack, byte for byte as openpi's client and server write them.

An array is the map `{b"__ndarray__": True, b"data": bytes, b"dtype": str, b"shape": [int, ...]}`, a NumPy
scalar `{b"__npgeneric__": True, b"data": number, b"dtype": str}`. What comes in is not trusted: only
booleans, integers and floats of fixed width are read, and an array's shape must account for exactly the
bytes that came.
"""

from __future__ import annotations

import math
import re
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

MAX_ITEMS = 4096
"""Most entries of a list or a map in a message; arrays are neither, they travel as bytes."""
MAX_DIMENSIONS = 8
"""Most dimensions of an array."""

_PLAIN_DTYPE = re.compile(r"\|b1|[|<>=]?([iu][1248]|f[248])")


class WireError(ValueError):
    """A message that is not what was agreed; one line says why."""


def pack(message: Any) -> bytes:
    """`message` as msgpack. Raises WireError for arrays of objects, texts, records or complex numbers."""
    packed: bytes = msgpack.packb(message, default=_pack_array)
    return packed


def unpack(data: bytes) -> Any:
    """Inverse of `pack`; arrays are the caller's own and in native byte order.

    Raises:
        WireError: it is no msgpack, or has an array whose dtype, shape or size makes no sense.
    """
    try:
        return msgpack.unpackb(
            data,
            object_hook=_unpack_array,
            strict_map_key=False,
            max_array_len=MAX_ITEMS,
            max_map_len=MAX_ITEMS,
            max_ext_len=0,
        )
    except WireError:
        raise
    except (ValueError, TypeError, msgpack.UnpackException) as error:  # TypeError: a list as a map's key
        raise WireError(f"not a msgpack message ({str(error) or type(error).__name__})") from None


def _pack_array(value: Any) -> dict[bytes, Any]:
    if not isinstance(value, np.ndarray | np.generic):
        raise WireError(f"cannot send a {type(value).__name__}")
    dtype = _checked_dtype(value.dtype.str)
    if isinstance(value, np.generic):
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": dtype.str}
    return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": dtype.str, b"shape": value.shape}


def _unpack_array(fields: dict[Any, Any]) -> Any:
    if b"__ndarray__" in fields:
        return _array(fields.get(b"data"), fields.get(b"dtype"), fields.get(b"shape"))
    if b"__npgeneric__" in fields:
        return _scalar(fields.get(b"data"), fields.get(b"dtype"))
    return fields


def _array(data: Any, dtype_name: Any, shape: Any) -> NDArray[Any]:
    dtype = _checked_dtype(dtype_name)
    if not isinstance(shape, list) or not all(type(side) is int and side >= 0 for side in shape):
        raise WireError(f"the shape of an array is a list of sizes, got {shape!r:.60}")
    if len(shape) > MAX_DIMENSIONS:
        raise WireError(f"an array has at most {MAX_DIMENSIONS} dimensions, got {len(shape)}")
    size = math.prod(shape) * dtype.itemsize
    if not isinstance(data, bytes) or len(data) != size:
        came = f"{len(data)} bytes" if isinstance(data, bytes) else type(data).__name__
        raise WireError(f"an array of shape {shape} and dtype {dtype} has {size} bytes, got {came}")
    try:
        return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))
    except ValueError as error:  # nothing, but in sides beyond any address
        raise WireError(f"an array cannot have the shape {shape}: {error}") from None


def _scalar(value: Any, dtype_name: Any) -> Any:
    dtype = _checked_dtype(dtype_name)
    if type(value) not in (bool, int, float):
        raise WireError(f"a NumPy scalar is a number, got a {type(value).__name__}")
    try:
        return dtype.type(value)
    except (OverflowError, ValueError) as error:
        raise WireError(f"a {dtype} cannot be {value!r:.60}: {error}") from None


def _checked_dtype(name: Any) -> np.dtype[Any]:
    if not isinstance(name, str) or not _PLAIN_DTYPE.fullmatch(name):
        raise WireError(f"arrays are of booleans, integers or floats, got dtype {name!r:.60}")
    return np.dtype(name)
