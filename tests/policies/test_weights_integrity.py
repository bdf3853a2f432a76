"""The hash in a record stands for everything that an agent reads, and for nothing from elsewhere."""

from __future__ import annotations

import json
import shutil
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from h2r_bench.policies.catalog import find_agent
from h2r_bench.policies.common.checkpoints import WeightsDamagedError, manifest_hash, write_manifest
from h2r_bench.policies.common.chunking import ASSETS

SHIPPED = {
    "h2r": "298359ffd6683063",
    "h2r_knn": "450447f4b9088fa2",
    "diffusion_policy": "abca7638c69e1a5a",
    "xskill": "e994779c1f5a1788",
    "vpp": "515a68430388346e",
    "blind": "e370b758c242c725",
    "hand_tracker": "83e704d1f7d0e071",
}
"""What the committed records say: a change of how hashes are made would orphan them all."""
RESULTS = Path(__file__).parents[2] / "results"


def load(name: str, folder: Path | None = None) -> Any:
    return find_agent(name).load(folder, None)


@pytest.fixture
def blind(tmp_path: Path) -> Path:
    folder = tmp_path / "blind"
    shutil.copytree(ASSETS / "blind_compact", folder)
    return folder


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """The same agent elsewhere, with a decoder that does something else."""
    folder = tmp_path / "changed"
    shutil.copytree(ASSETS / "blind_compact", folder)
    spoil(folder / "decoder.safetensors")
    return folder


def spoil(path: Path) -> None:
    state = load_file(path)
    save_file({key: torch.zeros_like(value) for key, value in state.items()}, path)


def edit(folder: Path, **facts: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_hashes_are_those_of_the_committed_records(name: str) -> None:
    manifest = json.loads((find_agent(name).find().folder() / "manifest.json").read_text())
    assert manifest_hash(manifest) == SHIPPED[name]
    logs = list(RESULTS.glob(f"trials/*/{name}.jsonl"))
    assert logs
    recorded = {json.loads(line)["weights"] for log in logs for line in log.read_text().splitlines()}
    assert recorded == {SHIPPED[name]}


@pytest.mark.parametrize("place", ["../changed", "{changed}", "inner/../../changed", "link"])
def test_a_domain_elsewhere_is_refused(blind: Path, changed: Path, place: str) -> None:
    (blind / "inner").mkdir()
    (blind / "link").symlink_to(changed)
    edit(blind, domains={"basic": place.format(changed=changed)})
    with pytest.raises(WeightsDamagedError, match="leads out of its folder"):
        load("blind", blind)


@pytest.mark.parametrize("link", ["symbolic", "name"])
def test_a_file_elsewhere_is_refused(blind: Path, changed: Path, link: str) -> None:
    if link == "symbolic":
        (blind / "decoder.safetensors").unlink()
        (blind / "decoder.safetensors").symlink_to(changed / "decoder.safetensors")
    manifest = json.loads((blind / "manifest.json").read_text())
    files = manifest.pop("files")
    write_manifest(
        blind, manifest, [*files, *([] if link == "symbolic" else ["../changed/decoder.safetensors"])]
    )
    with pytest.raises(WeightsDamagedError, match="leads out of its folder"):
        load("blind", blind)


@pytest.mark.parametrize("left_out", [None, "decoder.safetensors", "decoder.json", "time.json"])
def test_a_file_that_no_hash_vouches_for_is_refused(blind: Path, left_out: str | None) -> None:
    files = json.loads((blind / "manifest.json").read_text())["files"]
    edit(blind, files={} if left_out is None else {k: v for k, v in files.items() if k != left_out})
    spoil(blind / "decoder.safetensors")
    with pytest.raises(WeightsDamagedError, match=r"not listed|damaged"):
        load("blind", blind)


def test_a_folder_of_a_domain_is_looked_at_as_well(tmp_path: Path) -> None:
    folder = tmp_path / "h2r"
    shutil.copytree(ASSETS / "h2r_compact", folder)
    shutil.copy(folder / "vpm.json", folder / "writing" / "vpm.json")
    with pytest.raises(WeightsDamagedError, match=r"writing/vpm\.json is not listed"):
        load("h2r", folder)


def test_what_no_agent_reads_may_lie_beside(blind: Path) -> None:
    (blind / "notes.txt").write_text("mine")
    (blind / "older").mkdir()
    (blind / "older" / "decoder.json").write_text("{}")
    assert load("blind", blind).weights_hash == SHIPPED["blind"]


@pytest.mark.parametrize(
    "facts", [{"domains": {"writing": "."}}, {"domains": {"basic": ".", "writing": "."}}, {"execute": 4}]
)
def test_what_else_shapes_the_acting_enters_the_hash(blind: Path, facts: dict[str, Any]) -> None:
    edit(blind, **facts)
    assert load("blind", blind).weights_hash != SHIPPED["blind"]


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "h2r_knn"])
def test_every_file_that_is_read_is_listed(name: str) -> None:
    folder = find_agent(name).find().folder()
    listed = set(json.loads((folder / "manifest.json").read_text())["files"])
    with_opened = opened_while(lambda: load(name))
    inside = {path.relative_to(folder).as_posix() for path in with_opened if path.is_relative_to(folder)}
    assert inside - {"manifest.json"} == listed


def opened_while(call: Callable[[], Any]) -> set[Path]:
    """Files that Python opened during `call` (an audit hook cannot be taken away, so it is switched off)."""
    opened: set[Path] = set()
    watching = [True]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if watching[0] and event == "open" and isinstance(arguments[0], str):
            opened.add(Path(arguments[0]))

    sys.addaudithook(hook)
    try:
        call()
    finally:
        watching[0] = False
    return opened


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("feature_shape", [10**9, 8, 8]),
        ("feature_shape", [60000, 8, 8]),
        ("width", 10**9),
        ("width", 2**16),
        ("former_layers", 10**9),
        ("policy_layers", 200),
        ("chunk", 60000),
        ("heads", 0),
        ("width", -1),
        ("train_steps", float("nan")),
        ("width", "wide"),
        ("width", None),
    ],
)
def test_sizes_are_bounded_before_anything_is_allocated(blind: Path, field: str, value: Any) -> None:
    record = json.loads((blind / "decoder.json").read_text())
    record["config"][field] = value
    (blind / "decoder.json").write_text(json.dumps(record))
    manifest = json.loads((blind / "manifest.json").read_text())
    write_manifest(blind, manifest, list(manifest.pop("files")))
    before = peak_kb()
    tracemalloc.start()
    with pytest.raises(WeightsDamagedError, match="decoder"):
        load("blind", blind)
    tracemalloc.stop()
    assert peak_kb() - before < 200_000


def peak_kb() -> int:
    """Most memory this process ever had [kB]."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


@pytest.mark.parametrize("execute", [10**9, 0, -1, 2.5, "8", None, True])
def test_as_many_actions_as_no_chunk_has_are_refused(blind: Path, execute: Any) -> None:
    edit(blind, execute=execute)
    if execute is True:  # a number in Python, and one that may be
        assert load("blind", blind).execute == 1
        return
    with pytest.raises(WeightsDamagedError, match="execute"):
        load("blind", blind)
