from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from h2r_bench.policies.common.checkpoints import (
    WeightsDamagedError,
    WeightsMissingError,
    sha256,
    write_manifest,
)
from h2r_bench.policies.common.config import MINILM
from h2r_bench.policies.common.config_json import from_json, to_json
from h2r_bench.policies.common.normalizer import Normalizer
from h2r_bench.policies.h2r.action_decoder import ActionDecoder
from h2r_bench.policies.h2r.agent import H2RAgent, Head, VPPAgent
from h2r_bench.policies.h2r.config import COMPACT, PAPER, CLIPConfig, H2RConfig
from h2r_bench.policies.h2r.encoders.base import LanguageVPMEncoder, VPMEncoder
from h2r_bench.policies.h2r.vpm import VideoPredictionModel
from h2r_bench.types import Agent, Demonstration, ImaginingAgent, encode_instruction

from tiny import TINY

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.types import UInt8Array

FRAMES = TINY.vpm.frames


def model(*, temporal: bool = True, seeing: bool = True) -> VideoPredictionModel:
    torch.manual_seed(0)
    vpm = VideoPredictionModel(TINY.vpm, temporal=temporal).eval().requires_grad_(False)
    if seeing:
        torch.nn.init.normal_(vpm.behavior.projection.weight, std=0.1)
    return vpm


def agent(*domains: str, execute: int = 2) -> H2RAgent:
    encoder = VPMEncoder(model())
    heads = {domain: Head(encoder, ActionDecoder(TINY.decoder)) for domain in domains or ("basic",)}
    return H2RAgent(heads, execute=execute)


def pixels(*shape: int, seed: int = 0) -> UInt8Array:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 32, 32, 3), np.uint8)


def clip(batch: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(pixels(batch, FRAMES, seed=seed))


def robot(batch: int = 1, seed: int = 1) -> torch.Tensor:
    return torch.from_numpy(pixels(batch, seed=seed))


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def observation(batch: int | None = None, seed: int = 0) -> dict[str, Any]:
    rows = range(seed, seed + (batch or 1))
    state = np.float32([0.5, 0, 0.1, 1, 0, 0, 0, 1, 0, 1])
    stacked = {
        "image": np.stack([pixels(seed=row) for row in rows]),
        "state": np.stack([state + np.float32(0.01 * row) for row in rows]),
        "human_clip": np.stack([pixels(30, seed=row) for row in rows]),
        "instruction": np.zeros((len(rows), 128), np.uint8),
    }
    return stacked if batch is not None else {key: value[0] for key, value in stacked.items()}


@pytest.mark.parametrize("temporal", [False, True])
def test_features_have_the_shape_that_the_config_says(temporal: bool) -> None:
    features = model(temporal=temporal).features(clip(2), robot(2), noise())
    assert features.shape == (2, FRAMES, *TINY.vpm.feature_shape)


def test_presets() -> None:
    assert COMPACT.vpm.latent_shape[1:] == (16, 16)
    assert COMPACT.vpm.feature_shape[1:] == (8, 8)
    for preset in (COMPACT, PAPER):
        assert preset.vpm.feature_shape == preset.decoder.feature_shape
        assert preset.vpm.frames >= preset.decoder.frames
        assert from_json(H2RConfig, to_json(preset)) == preset


def test_the_paper_preset_fits_together_at_its_own_image_size() -> None:
    """Its geometry with thin layers: 53x30 latents, which no level halves evenly, and four strides of two."""
    config = replace(
        PAPER.vpm,
        frames=1,
        vae=replace(PAPER.vpm.vae, channels=(4, 4, 4, 4), layers=1, groups=2),
        unet=replace(PAPER.vpm.unet, channels=(8, 8, 8, 8), layers=1, heads=2, groups=4, token_dim=8),
        behavior=replace(PAPER.vpm.behavior, channels=(4, 4, 4, 4)),
        clip=CLIPConfig(width=8, mlp_width=8, layers=1, heads=1, token_dim=8),
    )
    torch.manual_seed(0)
    vpm = VideoPredictionModel(config, temporal=True).eval().requires_grad_(False)
    torch.nn.init.normal_(vpm.behavior.projection.weight, std=0.1)
    human = torch.randint(0, 256, (1, 1, 240, 424, 3), dtype=torch.uint8)
    features = vpm.features(human, human[:, 0], noise())
    assert features.shape == (1, 1, *config.feature_shape)
    assert config.feature_shape[1:] == PAPER.vpm.feature_shape[1:]
    assert not torch.allclose(features, vpm.features(255 - human, human[:, 0], noise()))


def test_half_precision_is_close() -> None:
    vpm = model()
    exact = vpm.features(clip(), robot(), noise())
    rough = vpm.to(torch.bfloat16).features(clip(), robot(), noise())
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().mean() < 0.05 * exact.abs().mean()


def test_features_are_those_of_the_whole_network() -> None:
    vpm, seen = model(), []
    hook = vpm.st_unet.up_blocks[0].register_forward_hook(lambda _m, _i, out: seen.append(out))
    vpm.generate(clip(), robot(), noise(), steps=1)
    hook.remove()
    whole = torch.nn.functional.avg_pool2d(seen[0], TINY.vpm.feature_pool)
    torch.testing.assert_close(vpm.features(clip(), robot(), noise())[0], whole)


def test_features_are_deterministic_given_the_seed() -> None:
    vpm = model()
    first = vpm.features(clip(), robot(), noise(3))
    assert torch.equal(first, vpm.features(clip(), robot(), noise(3)))
    assert not torch.equal(first, vpm.features(clip(), robot(), noise(4)))


def test_an_untrained_model_does_not_see_the_human() -> None:
    vpm = model(seeing=False)
    same = vpm.features(clip(seed=0), robot(), noise())
    assert torch.equal(same, vpm.features(clip(seed=5), robot(), noise()))
    torch.nn.init.normal_(vpm.behavior.projection.weight, std=0.1)
    assert not torch.allclose(same, vpm.features(clip(seed=5), robot(), noise()))


def test_a_scene_comparison_starts_as_nothing_and_then_sees_both_pictures() -> None:
    plain = replace(TINY.vpm, behavior=replace(TINY.vpm.behavior, comparison=()))
    torch.manual_seed(0)
    before = VideoPredictionModel(plain).eval().requires_grad_(False)
    torch.nn.init.normal_(before.behavior.projection.weight, std=0.1)
    vpm = before.with_comparison((8, 8, 8)).eval()
    assert vpm.config == TINY.vpm
    assert vpm.with_comparison((4,)) is vpm
    assert torch.equal(before.features(clip(), robot(), noise()), vpm.features(clip(), robot(), noise()))
    assert vpm.comparison is not None
    torch.nn.init.normal_(vpm.comparison.projection.weight, std=0.1)
    human, reference = torch.zeros(1, FRAMES, 32, 32, 3, dtype=torch.uint8), robot()
    alike, moved = (vpm._follow(each, reference) for each in (human, torch.roll(human + 9, 3, 2)))
    assert not torch.allclose(alike, moved)
    assert not torch.allclose(alike, vpm._follow(human, robot(seed=7)))
    added = vpm._follow(human, reference) - vpm._follow(human, None)
    assert torch.allclose(added[:1].expand_as(added), added, atol=1e-6)


def test_the_reference_reaches_the_prediction_through_self_attention_alone() -> None:
    vpm = model()
    torch.nn.init.zeros_(vpm.image_encoder.projection.weight)
    one, other = (vpm.features(clip(), robot(seed=seed), noise()) for seed in (1, 2))
    assert not torch.allclose(one, other)
    vpm._bank.clear()
    assert len(vpm.s_unet.attn_processors) // 2 == _count_banked(vpm)


def _count_banked(vpm: VideoPredictionModel) -> int:
    vpm.condition(clip(), robot(), torch.zeros(1, *TINY.vpm.latent_shape))
    return len(vpm._bank)


def test_temporal_layers_start_as_the_identity_and_then_look_at_other_frames() -> None:
    first = model(temporal=False)
    second = first.with_temporal_layers().eval().requires_grad_(False)
    before = first.features(clip(), robot(), noise())
    torch.testing.assert_close(before, second.features(clip(), robot(), noise()), rtol=1e-4, atol=1e-5)
    for name, module in second.st_unet.named_modules():
        if "motion_modules" in name and name.endswith("proj_out"):
            torch.nn.init.normal_(module.weight, std=0.1)
    changed = clip()
    changed[:, -1] = 0
    one, other = (second.features(human, robot(), noise()) for human in (clip(), changed))
    assert not torch.allclose(one[:, 0], other[:, 0])


def test_a_batch_of_clips_gives_what_each_gives_alone() -> None:
    vpm = model()
    together = vpm.features(clip(3), robot(3), [noise(seed) for seed in range(3)])
    for row in range(3):
        alone = vpm.features(clip(3)[row : row + 1], robot(3)[row : row + 1], noise(row))
        torch.testing.assert_close(together[row], alone[0], rtol=1e-4, atol=1e-5)


def test_generated_clips_are_images() -> None:
    frames = model().generate(clip(2), robot(2), noise(), steps=3)
    assert frames.shape == (2, FRAMES, 32, 32, 3)
    assert frames.dtype == torch.uint8


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_every_prediction_type_trains_and_samples(prediction: Any) -> None:
    torch.manual_seed(0)
    vpm = VideoPredictionModel(replace(TINY.vpm, noise=replace(TINY.vpm.noise, prediction=prediction)))
    latents = torch.randn(2, FRAMES, *TINY.vpm.latent_shape)
    loss = vpm.loss(clip(2), robot(2), latents[:, 0], latents, noise(), motion_weight=1.0, min_snr=5.0)
    loss.backward()
    assert loss.isfinite()
    assert vpm.behavior.projection.weight.grad is not None
    assert all(p.grad is None for p in vpm.vae.parameters())
    assert vpm.generate(clip(), robot(), noise(), steps=2).shape[1] == FRAMES


def test_a_saved_model_is_the_same_model(tmp_path: Path) -> None:
    vpm = model()
    vpm.save(tmp_path)
    again = VideoPredictionModel.load(tmp_path)
    assert torch.equal(vpm.features(clip(), robot(), noise()), again.features(clip(), robot(), noise()))


def test_normalised_actions_come_back() -> None:
    normalizer = Normalizer()
    actions = np.random.default_rng(0).uniform(-0.5, 0.5, (5, 4, 7)).astype(np.float32)
    actions[..., 6] = np.abs(actions[..., 6])
    normalizer.fit(actions[..., :3].reshape(-1, 3))
    code = normalizer.action(actions)
    assert code.abs().max() <= 1.0
    np.testing.assert_allclose(normalizer.to_action(code), actions, atol=1e-5)


def test_the_agent_follows_the_protocol() -> None:
    subject = agent()
    assert isinstance(subject, Agent)
    subject.reset(Demonstration(pixels(3), 10.0, "push"), "push", 0)
    action, _ = subject.predict(observation())
    assert action.shape == (7,)
    assert action.dtype == np.float32
    assert np.isfinite(action).all()


def test_the_agent_is_keyed_by_seed_and_step() -> None:
    subject = agent()

    def play(seed: int) -> np.ndarray:
        subject.reset(None, "", seed)
        return np.stack([subject.predict(observation(seed=step))[0] for step in range(5)])

    first = play(3)
    np.testing.assert_array_equal(first, play(3))
    assert not np.array_equal(first, play(4))


def test_a_batch_of_environments_gets_what_each_gets_alone() -> None:
    subject = agent()
    subject.reset(None, "", 1)
    together = np.stack([subject.predict(observation(2, seed=10 * step))[0] for step in range(3)], 1)
    for row in range(2):
        subject.reset(None, "", 1)
        alone = [subject.predict(observation(seed=10 * step + row))[0] for step in range(3)]
        np.testing.assert_allclose(together[row], np.stack(alone), atol=1e-4)


def test_episode_start_begins_anew_where_it_says() -> None:
    subject = agent()
    subject.reset(None, "", 1)
    first, state = subject.predict(observation(2), None, np.array([True, True]))
    _, state = subject.predict(observation(2, seed=5), state, np.array([False, False]))
    again, state = subject.predict(observation(2), state, np.array([True, False]))
    np.testing.assert_allclose(again[0], first[0], atol=1e-5)
    assert list(state.step) == [1, 3]


def test_a_chunk_is_executed_before_the_next_is_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    subject, calls = agent(), []
    predict_chunks = subject.predict_chunks
    monkeypatch.setattr(subject, "predict_chunks", lambda due: calls.append(1) or predict_chunks(due))
    for step in range(6):
        subject.predict(observation(seed=step))
    assert len(calls) == 3


def test_imagining_shows_the_clip_of_the_newest_chunk_and_changes_nothing() -> None:
    subject, silent = agent(), agent()
    silent.heads = subject.heads
    assert isinstance(subject, ImaginingAgent)
    with pytest.raises(RuntimeError, match="predict before imagine"):
        subject.imagine(0)
    shown = []
    for step in range(4):
        action, _ = subject.predict(observation(seed=step))
        shown.append(subject.imagine(step))
        np.testing.assert_array_equal(action, silent.predict(observation(seed=step))[0])
    assert {(view.shape, view.dtype) for view in shown} == {((32, 32, 3), np.dtype(np.uint8))}
    np.testing.assert_array_equal(subject.imagine(3), shown[3])
    seen = observation(seed=2)  # chunks of two: the second begins here, with noise of its own
    generator = torch.Generator().manual_seed(subject._generator(2).initial_seed())
    human, image = torch.from_numpy(seen["human_clip"][None, :FRAMES]), torch.from_numpy(seen["image"][None])
    vpm = subject.heads["basic"].encoder.vpm
    wanted = vpm.generate(human, image, [generator], H2RAgent.imagined_steps)[0].numpy()
    np.testing.assert_array_equal(np.stack(shown[2:]), wanted[:2])


def test_an_agent_that_is_told_the_task_imagines_as_well() -> None:
    encoder = LanguageVPMEncoder(VideoPredictionModel(TINY.vpm).with_words(MINILM))
    subject = VPPAgent({"basic": Head(encoder, ActionDecoder(TINY.decoder))}, execute=2)
    assert isinstance(subject, ImaginingAgent)
    subject.predict({**observation(), "instruction": encode_instruction("push the cube")})
    assert subject.imagine(1).shape == (32, 32, 3)


@pytest.mark.parametrize("threads", [1, 2, None])
def test_it_computes_on_as_many_threads_as_it_says(
    monkeypatch: pytest.MonkeyPatch, threads: int | None
) -> None:
    seen = []
    original = H2RAgent.predict_chunks

    def watched(self: H2RAgent, due: Any) -> Any:
        seen.append(torch.get_num_threads())
        return original(self, due)

    monkeypatch.setattr(H2RAgent, "predict_chunks", watched)
    watched_agent = agent()
    watched_agent.threads = threads
    before = torch.get_num_threads()
    watched_agent.predict(observation())
    watched_agent.plan(observation(), 0)
    assert seen == [threads or before] * 2
    assert torch.get_num_threads() == before


def test_beyond_its_clip_the_last_imagined_frame_stays() -> None:
    subject = agent()
    subject.predict(observation(2))
    np.testing.assert_array_equal(subject.imagine(100), subject.imagine(FRAMES - 1))


def test_wrong_clips_are_refused() -> None:
    short = observation()
    short["human_clip"] = short["human_clip"][:2]
    with pytest.raises(ValueError, match="2 frames"):
        agent().predict(short)
    with pytest.raises(ValueError, match="execute"):
        agent(execute=99)


def packed(folder: Path, *more: str, **facts: Any) -> list[str]:
    model().save(folder, torch.float16)
    for place in (".", *more):
        ActionDecoder(TINY.decoder).save(folder / place, torch.float16)
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    write_manifest(folder, {"execute": 2, "world": 1, **facts}, names)
    return names


def test_stored_agents(tmp_path: Path) -> None:
    packed(tmp_path)
    one, other = H2RAgent.from_pretrained(tmp_path), H2RAgent.from_pretrained(tmp_path)
    assert one.weights_hash == other.weights_hash
    assert len(one.weights_hash) == 16
    assert one.world == 1
    np.testing.assert_array_equal(one.predict(observation())[0], other.predict(observation())[0])


def test_a_domain_has_a_decoder_of_its_own(tmp_path: Path) -> None:
    packed(tmp_path, "writing", domains={"basic": ".", "writing": "writing"})
    subject = H2RAgent.from_pretrained(tmp_path)
    actions = {}
    for domain in ("basic", "writing"):
        subject.reset(Demonstration(pixels(3), 10.0, "push", domain=domain), "push", 0)
        actions[domain] = subject.predict(observation())[0]
    assert not np.array_equal(actions["basic"], actions["writing"])
    with pytest.raises(ValueError, match="know the domain basic, not 'writing'"):
        agent("basic").reset(Demonstration(pixels(3), 10.0, "write", domain="writing"), "write", 0)


def test_weights_behind_another_encoder_are_refused(tmp_path: Path) -> None:
    packed(tmp_path, encoder="time")
    with pytest.raises(WeightsDamagedError, match="H2RAgent needs vpm"):
        H2RAgent.from_pretrained(tmp_path)


def test_a_chunk_can_be_asked_for_while_the_last_is_carried_out() -> None:
    subject = agent()
    subject.reset(None, "", 3)
    chunk = subject.plan(observation(), 0)
    assert chunk.shape == (TINY.decoder.chunk, 7)
    subject.reset(None, "", 3)
    np.testing.assert_array_equal(subject.predict(observation())[0], chunk[0])


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissingError, match=r"manifest\.json is missing"):
        H2RAgent.from_pretrained(tmp_path)
    packed(tmp_path)
    (tmp_path / "s_unet.safetensors").unlink()
    with pytest.raises(WeightsMissingError, match=r"s_unet\.safetensors"):
        H2RAgent.from_pretrained(tmp_path)


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    names = packed(tmp_path)
    victim = tmp_path / "decoder.safetensors"
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(bytes(data))
    with pytest.raises(WeightsDamagedError, match=r"decoder\.safetensors is damaged"):
        H2RAgent.from_pretrained(tmp_path)
    victim.write_bytes(data[:100])
    write_manifest(tmp_path, {"execute": 2}, names)
    with pytest.raises(WeightsDamagedError, match=r"decoder\.safetensors is damaged"):
        H2RAgent.from_pretrained(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(WeightsDamagedError, match=r"manifest\.json"):
        H2RAgent.from_pretrained(tmp_path)
    assert len(sha256(victim)) == 64


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    ActionDecoder(replace(TINY.decoder, width=32)).save(tmp_path / "a")
    ActionDecoder(TINY.decoder).save(tmp_path / "b")
    (tmp_path / "a" / "decoder.safetensors").replace(tmp_path / "b" / "decoder.safetensors")
    with pytest.raises(WeightsDamagedError, match="another size"):
        ActionDecoder.load(tmp_path / "b")
