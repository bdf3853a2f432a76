"""Retrieval: the gallery, what images are compared by, and who is followed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from h2r_bench.policies.common.checkpoints import WeightsDamagedError, write_manifest
from h2r_bench.policies.h2r.agent import OFFSET
from h2r_bench.policies.knn.agent import KNNAgent
from h2r_bench.policies.knn.frame_encoders import ClipDinoFrames, SceneEncoder, Towers
from h2r_bench.policies.knn.gallery import Gallery, GalleryEntry, write_gallery
from h2r_bench.training.objectives.knn_gallery import spread
from h2r_bench.types import Demonstration

from episodes import make_episode
from tiny_agents import SIZE, knn


def gallery(tasks: str, places: list[float]) -> Gallery:
    entries = tuple(GalleryEntry(task, number, 0, 1) for number, task in enumerate(tasks))
    return Gallery(entries, np.array(places, np.float32)[:, None], Path("none"))


@pytest.mark.parametrize(
    ("tasks", "places", "votes", "wanted"),
    [
        ("aab", [0.0, 1.0, 0.1], 1, 0),
        ("abb", [0.0, 0.3, 0.2], 3, 2),
        ("ab", [0.2, 0.1], 2, 1),
        ("abbb", [0.0, 0.1, 5.0, 6.0], 2, 0),
    ],
)
def test_the_majority_of_the_nearest_decides_and_its_nearest_is_followed(
    tasks: str, places: list[float], votes: int, wanted: int
) -> None:
    assert gallery(tasks, places).nearest(np.zeros(1, np.float32), votes) == wanted


def test_a_gallery_gives_back_the_videos(tmp_path: Path) -> None:
    episodes = [make_episode(seed, steps=steps, size=SIZE) for seed, steps in ((0, 12), (1, 25), (2, 7))]
    vectors = np.eye(3, dtype=np.float32)
    write_gallery(tmp_path, [(e.task, 10 + n, e.human) for n, e in enumerate(episodes)], vectors, 10.0)
    stored = Gallery.load(tmp_path)
    assert [entry.episode for entry in stored.entries] == [10, 11, 12]
    np.testing.assert_array_equal(stored.vectors, vectors)
    clips = stored.clips(np.array([1, 2]), np.array([3, 5]), 4).astype(int)
    wanted = [episodes[1].human[3:7], episodes[2].human[[5, 6, 6, 6]]]
    assert np.abs(clips - np.stack(wanted)).mean() < 8
    assert not list(tmp_path.glob("tmp*"))


@given(arrays(np.float32, (12, 3), elements=st.floats(-5, 5, width=16)), st.integers(1, 15))
def test_spread_out_episodes_cover_the_rest(vectors: np.ndarray, count: int) -> None:
    chosen = spread(vectors, count)
    assert len(chosen) == min(count, 12)
    apart = np.linalg.norm(vectors[:, None] - vectors[None, chosen], axis=-1)
    if len(chosen) > 1:
        among = apart[chosen] + np.where(np.eye(len(chosen)), np.inf, 0)
        assert apart.min(1).max() <= among.min() + 1e-4


class Unforeseeing:
    """The vectors of a scene reader, and no word of what they mean."""

    def __init__(self, encoder: SceneEncoder) -> None:
        self.embed = encoder.embed


def observation(seed: int, step: int = 0) -> dict[str, Any]:
    episode = make_episode(seed, size=SIZE)
    return {"image": episode.robot[step], "state": episode.state[step]}


def test_the_most_similar_scene_is_followed_and_the_shown_video_is_not_looked_at(tmp_path: Path) -> None:
    agent = KNNAgent.from_pretrained(knn(tmp_path / "knn"))
    for seed in range(3):
        agent.reset(None, "", 0)
        _, state = agent.predict(observation(seed))
        assert state.memory["entry"].tolist() == [seed]
        _, state = agent.predict(observation((seed + 1) % 3, step=4))
        assert state.memory["entry"].tolist() == [seed]
    with pytest.raises(ValueError, match="know the domain basic"):
        agent.reset(shown("writing"), "", 0)


def shown(domain: str) -> Demonstration:
    return Demonstration(np.zeros((1, 4, 4, 3), np.uint8), 10.0, "", domain=domain)


def test_each_domain_has_its_own_gallery_and_decoder(tmp_path: Path) -> None:
    folder = knn(tmp_path / "knn", writing=True)
    agent = KNNAgent.from_pretrained(folder)
    assert agent.domains == ("basic", "writing")
    followed = {}
    for domain in ("basic", "writing", "basic"):
        agent.reset(shown(domain), "", 0)
        assert agent.inner.domain == domain
        _, state = agent.predict(observation(4))
        followed[domain] = state.memory["entry"].item(), state.memory[OFFSET]
    assert followed["writing"][0] == 1
    np.testing.assert_allclose(followed["writing"][1], 0, atol=1e-3)
    assert np.abs(followed["basic"][1]).max() > 1e-3
    agent.domain = "writing"
    agent.predict(observation(4), episode_start=[True])
    assert agent.inner.domain == "writing"
    with pytest.raises(ValueError, match="galleries of dancing"):
        KNNAgent(agent.inner, {"dancing": agent.retrievals["writing"]})


@pytest.mark.parametrize("foreseen", [True, False])
@pytest.mark.parametrize("same_view", [True, False])
def test_the_video_is_moved_where_the_encoder_foresees_paths(
    tmp_path: Path, foreseen: bool, same_view: bool
) -> None:
    """... and where the inner agent moves videos at all."""
    agent = KNNAgent.from_pretrained(knn(tmp_path / "knn"))
    retrieval = agent.retrievals["basic"]
    if not foreseen:
        retrieval.encoder = Unforeseeing(retrieval.encoder)
    agent.inner.heads["basic"].encoder.same_view = same_view
    actions = []
    retrieval.gallery.vectors[1:] += 100
    for elsewhere in (0.0, 0.1):
        retrieval.gallery.vectors[0] += elsewhere
        agent.reset(None, "", 0)
        action, state = agent.predict(observation(0))
        assert state.memory["entry"].tolist() == [0]
        actions.append(action)
    assert (np.abs(state.memory[OFFSET]).max() > 0.01) == foreseen
    assert np.array_equal(*actions) != (foreseen and same_view)


@pytest.mark.parametrize("writing", [True, False])
def test_a_gallery_for_other_weights_is_refused(tmp_path: Path, writing: bool) -> None:
    folder = knn(tmp_path / "knn", writing)
    agent = tmp_path / "knn_h2r"
    manifest = json.loads((agent / "manifest.json").read_text())
    (agent / "decoder.json").write_text((agent / "decoder.json").read_text() + "\n")
    write_manifest(agent, manifest, list(manifest.pop("files")))
    with pytest.raises(WeightsDamagedError, match="made for other weights"):
        KNNAgent.from_pretrained(folder)


def test_clip_and_dinov2_are_joined(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28}
    clip = transformers.CLIPVisionConfig(**sizes, intermediate_size=16, projection_dim=12, patch_size=14)
    transformers.CLIPVisionModelWithProjection(clip).save_pretrained(tmp_path / "clip")
    dinov2 = transformers.Dinov2Config(**sizes, patch_size=14)
    transformers.Dinov2Model(dinov2).save_pretrained(tmp_path / "dinov2")
    encoder = ClipDinoFrames(Towers(str(tmp_path / "clip"), str(tmp_path / "dinov2")))
    images = np.stack([make_episode(seed, size=(42, 24)).robot[0] for seed in range(3)])
    vectors = encoder.embed(images)
    assert vectors.shape == (3, 12 + 16)
    np.testing.assert_allclose(np.linalg.norm(vectors[:, :12], axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors[:, 12:], axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(encoder.embed(images[1:2])[0], vectors[1], atol=1e-5)
    assert not np.allclose(vectors[0], vectors[1])


def test_missing_transformers_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'h2r-bench\[paper\]'"):
        ClipDinoFrames(Towers("a", "b"))
