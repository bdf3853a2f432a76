"""Adds the hand to a scene: mocap bodies without any physics, and two MuJoCo skins bound to them."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
from dm_control import mjcf

from h2r_bench.envs.hand.bundle import hand_bundle
from h2r_bench.envs.hand.skeleton import BONES, rest_bones
from h2r_bench.envs.hand.style import SIDES

if TYPE_CHECKING:
    from h2r_bench.envs.hand.mesh import IntArray, SkinMesh
    from h2r_bench.envs.hand.style import Side
    from h2r_bench.types import FloatArray, UInt8Array

HAND_GROUP = 4
"""Skin group of hand and sleeve."""

HIDDEN_GROUP = 5
"""Skin group of what the style does not show: the other side, a sleeve on a bare arm."""

MIRROR = np.array([1.0, -1.0, 1.0])
"""Multiplies coordinates: a right hand becomes a left one."""

_CHART_SIZE = 32


def body_name(bone: str) -> str:
    """Name of the mocap body of a bone."""
    return f"hand_{bone}"


def skin_name(part: str, side: Side) -> str:
    """Name of the skin of a part, `skin` or `sleeve`, and a side."""
    return f"hand_{part}_{side}"


def attach_hand(root: mjcf.RootElement, side: Side = "right") -> None:
    """Adds bodies `hand_*`, materials and the skins `hand_skin_*` and `hand_sleeve_*` to `root`.

    Both sides are added; `side` is the one the compiled model shows first (skin group 4, the other in group
    5), `HandModel.apply_style` changes it at run time. Nothing added has mass, joints or collisions.
    """
    origins, _ = bones_of_side(side)
    for bone, origin in zip(BONES, origins, strict=True):
        root.worldbody.add("body", name=body_name(bone), mocap=True, pos=origin)
    chart = mjcf.Asset(png_bytes(_colour_chart()), ".png")
    root.asset.add("texture", name="hand_chart", type="2d", file=chart)
    root.asset.add("material", name="hand_skin", texture="hand_chart", specular=0.12, shininess=0.25)
    root.asset.add("material", name="hand_sleeve", specular=0.02, shininess=0.05)
    bundle = hand_bundle()
    for each in SIDES:
        _add_skin(root, "skin", each, bundle.hand, shown=each == side)
        _add_skin(root, "sleeve", each, bundle.sleeve, shown=False)


def _add_skin(root: mjcf.RootElement, part: str, side: Side, mesh: SkinMesh, shown: bool) -> None:
    """One MuJoCo skin, bound to the bodies of the bones."""
    content = _skin_file(*mesh_of_side(mesh, side), mesh, *bones_of_side(side))
    root.asset.add(
        "skin",
        name=skin_name(part, side),
        file=mjcf.Asset(content, ".skn"),
        material=f"hand_{part}",
        group=HAND_GROUP if shown else HIDDEN_GROUP,
    )


def bones_of_side(side: Side) -> tuple[FloatArray, FloatArray]:
    """Rest origins (20, 3) [m] and orientations (20, 3, 3) of a left or right hand."""
    origins, rotations = rest_bones()
    if side == "right":
        return origins, rotations
    return origins * MIRROR, rotations * np.outer(MIRROR, MIRROR)


def mesh_of_side(mesh: SkinMesh, side: Side) -> tuple[FloatArray, IntArray]:
    """Vertices (n, 3) [m] and faces (m, 3) of a left or right hand."""
    if side == "right":
        return mesh.vertices, mesh.faces
    return mesh.vertices * MIRROR, mesh.faces[:, ::-1]


def matrices_to_quaternions(matrices: FloatArray) -> FloatArray:
    """Rotation matrices (n, 3, 3) to unit quaternions w, x, y, z (n, 4), sign with the largest entry above 0.

    Takes the largest of the four candidates, as is usual, for the whole batch at once.
    """
    m = matrices
    xx, yy, zz = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    a, b, c = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    d, e, f = m[:, 1, 0] + m[:, 0, 1], m[:, 0, 2] + m[:, 2, 0], m[:, 2, 1] + m[:, 1, 2]
    rows = np.array(
        [[1 + xx + yy + zz, a, b, c], [a, 1 + xx - yy - zz, d, e], [b, d, 1 - xx + yy - zz, f],
         [c, e, f, 1 - xx - yy + zz]]
    )  # fmt: skip
    index = np.arange(len(m))
    best = rows[np.arange(4), np.arange(4)].argmax(0)
    chosen: FloatArray = rows[best, :, index]
    chosen /= np.sqrt((chosen**2).sum(1, keepdims=True))
    return chosen


def _skin_file(
    vertices: FloatArray, faces: IntArray, mesh: SkinMesh, origins: FloatArray, rotations: FloatArray
) -> bytes:
    """MuJoCo's binary skin format (.skn)."""
    weights = mesh.weights
    used = [b for b in range(len(BONES)) if weights[:, b].any()]
    quaternions = matrices_to_quaternions(rotations)
    parts = [
        struct.pack("<4i", len(vertices), len(mesh.texcoord), len(faces), len(used)),
        vertices.astype("<f4").tobytes(),
        mesh.texcoord.astype("<f4").tobytes(),
        faces.astype("<i4").tobytes(),
    ]
    for b in used:
        index = np.flatnonzero(weights[:, b])
        parts += [
            body_name(BONES[b]).encode().ljust(40, b"\0"),
            origins[b].astype("<f4").tobytes(),
            quaternions[b].astype("<f4").tobytes(),
            struct.pack("<i", len(index)),
            index.astype("<i4").tobytes(),
            weights[index, b].astype("<f4").tobytes(),
        ]
    return b"".join(parts)


def _colour_chart() -> UInt8Array:
    """Factors on the skin tone, shape (32, 32, 3): columns run into the nail, rows into the palm side."""
    nail, palm = np.meshgrid(np.linspace(0, 1, _CHART_SIZE), np.linspace(0, 1, _CHART_SIZE))
    back, front, polish = (np.array(c) for c in ((0.93, 0.92, 0.91), (1.0, 0.93, 0.90), (1.0, 0.90, 0.88)))
    colour = back + palm[..., None] * (front - back)
    colour = colour + nail[..., None] * (polish - colour)
    chart: UInt8Array = np.round(255 * colour).astype(np.uint8)
    return chart


def png_bytes(image: UInt8Array) -> bytes:
    """A PNG file of an RGB image, shape (H, W, 3)."""
    height, width, _ = image.shape
    rows = b"".join(b"\0" + row.tobytes() for row in image)
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
