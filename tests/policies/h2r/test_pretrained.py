from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from diffusers import UNetMotionModel
from safetensors.torch import load_file, save_file

from h2r_bench import train
from h2r_bench.policies.h2r.config import PRESETS, BehaviorConfig, VPMConfig
from h2r_bench.policies.h2r.pretrained.stable_diffusion import (
    PretrainedSources,
    from_stable_diffusion,
    with_motion_modules,
)
from h2r_bench.policies.h2r.pretrained.weight_loading import PretrainedError
from h2r_bench.policies.h2r.vpm import VideoPredictionModel

import folders
from episodes import make_dataset
from tiny import TINY

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = VPMConfig(
    image_size=(32, 32),
    frames=4,
    behavior=BehaviorConfig(channels=(8, 8), groups=0, level=0),
    reference_input=False,
    feature_pool=1,
)


@pytest.fixture(scope="module")
def sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folders.stable_diffusion(tmp_path_factory.mktemp("sd"))


@pytest.fixture(scope="module")
def motion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("motion")
    folders.motion().save_pretrained(folder)
    return folder


def first_stage(sd: Path, config: VPMConfig = CONFIG) -> VideoPredictionModel:
    return from_stable_diffusion(config, PretrainedSources(sd=str(sd)))[0]


def stored(folder: Path) -> dict[str, torch.Tensor]:
    """What the weight file in `folder` says, read without any model."""
    return load_file(next(folder.glob("*.safetensors")))


def assert_landed(model: torch.nn.Module, source: dict[str, torch.Tensor], prefix: str) -> None:
    own = model.state_dict()
    for key, value in source.items():
        torch.testing.assert_close(own[prefix + key], value, rtol=0, atol=0)


def test_stage_one_holds_every_value_of_stable_diffusion_and_clip(sd: Path) -> None:
    model, report = from_stable_diffusion(CONFIG, PretrainedSources(sd=str(sd)))
    places = (
        ("unet", "s_unet."),
        ("unet", "st_unet."),
        ("vae", "vae.autoencoder."),
        ("image_encoder", "image_encoder.clip."),
    )
    for (folder, prefix), landing in zip(places, report.landings, strict=True):
        source = stored(sd / folder)
        assert_landed(model, source, prefix)
        assert landing.source.endswith(folder)
        assert dict(landing.landed) == {key: prefix + key for key in source}
        assert not landing.unused
    assert {name.split(".")[0] for name in report.new} == {"behavior"}
    landed = {place for landing in report.landings for place in landing.landed.values()}
    assert landed.union(report.new, {"vae.scale"}) == set(model.state_dict())
    assert "sd" in str(report)
    assert "new parameters: behavior" in str(report)


def test_sizes_are_those_of_the_folders(sd: Path) -> None:
    config = first_stage(sd).config
    assert config.vae.channels == (8, 8)
    assert config.vae.mid_attention
    assert config.vae.scale == pytest.approx(0.5)
    assert config.unet.channels == (8, 16)
    assert config.unet.attention == (True, False)
    assert config.clip is not None
    assert (config.clip.image_size, config.clip.layers) == (28, 2)
    assert config.image_size == CONFIG.image_size


def test_the_first_prediction_is_stable_diffusions_own(sd: Path) -> None:
    """Without reference and behaviour (both start at nothing) the UNet has to be what it was."""
    model = first_stage(sd)
    noisy, timestep, token = (
        torch.randn(1, 1, 4, 16, 16),
        torch.tensor([500]),
        torch.randn(1, 1, folders.TOKEN),
    )
    with torch.no_grad():
        ours = model.denoise(noisy, timestep, token)[0]
        theirs = folders.unet()(noisy[0], 500, token).sample
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_latents_are_those_of_stable_diffusions_vae(sd: Path) -> None:
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        theirs = folders.vae().encode(images).latent_dist.mean * 0.5
        torch.testing.assert_close(first_stage(sd).vae.encode(images), theirs, rtol=1e-4, atol=1e-5)


def test_stage_two_holds_every_value_of_the_motion_modules(sd: Path, motion: Path) -> None:
    first = first_stage(sd)
    torch.nn.init.normal_(first.behavior.projection.weight)
    second, report = with_motion_modules(first, first.config, str(motion))
    assert_landed(second, stored(motion), "st_unet.")
    assert_landed(second, first.state_dict(), "")
    assert report.new == ()
    assert len(report.landings[0].landed) == len(stored(motion))
    assert (second.config.motion.heads, second.config.motion.max_frames) == (4, 24)
    theirs = UNetMotionModel.from_unet2d(folders.unet(), folders.motion())
    assert_landed(second, theirs.state_dict(), "st_unet.")
    assert set(theirs.state_dict()) == set(second.st_unet.state_dict())


def test_a_motion_adapter_with_a_middle_block_lands_too(sd: Path, tmp_path: Path) -> None:
    folders.motion(use_motion_mid_block=True, motion_layers_per_block=(1, 1)).save_pretrained(tmp_path)
    first = first_stage(sd)
    second, _ = with_motion_modules(first, first.config, str(tmp_path))
    assert any("mid_block.motion_modules" in key for key in stored(tmp_path))
    assert_landed(second, stored(tmp_path), "st_unet.")


def test_a_saved_model_is_the_same_model(sd: Path, motion: Path, tmp_path: Path) -> None:
    first = first_stage(sd)
    model, _ = with_motion_modules(first, first.config, str(motion))
    model.save(tmp_path)
    again = VideoPredictionModel.load(tmp_path)
    assert again.config == model.config
    human, robot = (
        torch.randint(0, 256, shape, dtype=torch.uint8) for shape in ((1, 4, 32, 32, 3), (1, 32, 32, 3))
    )
    one, other = (
        each.eval().features(human, robot, torch.Generator().manual_seed(0)) for each in (model, again)
    )
    assert torch.equal(one, other)
    assert one.shape == (1, 4, *model.config.feature_shape)


def test_the_vision_half_of_a_whole_clip_is_enough(sd: Path, tmp_path: Path) -> None:
    folders.whole_clip().save_pretrained(tmp_path)
    model, report = from_stable_diffusion(CONFIG, PretrainedSources(sd=str(sd), image_encoder=str(tmp_path)))
    everything = stored(tmp_path)
    seen = {key: value for key, value in everything.items() if key.startswith("vis")}
    assert_landed(model, seen, "image_encoder.clip.")
    clip = report.landings[-1]
    assert set(clip.landed).union(clip.unused) == set(everything)
    assert all("text" in reason for reason in clip.unused.values())


def test_older_names_of_attention_are_understood(sd: Path, tmp_path: Path) -> None:
    """The VAE of the published image variations was saved before diffusers renamed its attention."""
    shutil.copytree(sd, tmp_path / "sd")
    file = next((tmp_path / "sd" / "vae").glob("*.safetensors"))
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    weights = load_file(file)
    for new, old in names.items():
        weights = {
            key.replace(f"attentions.0.{new}.", f"attentions.0.{old}."): v for key, v in weights.items()
        }
    assert any("proj_attn" in key for key in weights)
    save_file(weights, file, metadata={"format": "pt"})
    assert_landed(first_stage(tmp_path / "sd"), stored(sd / "vae"), "vae.autoencoder.")


def changed(sd: Path, folder: Path, part: str, module: Any) -> Path:
    shutil.copytree(sd, folder)
    shutil.rmtree(folder / part)
    module.save_pretrained(folder / part)
    return folder


@pytest.mark.parametrize(
    ("part", "module", "message"),
    [
        ("unet", lambda: folders.vae(), "holds a AutoencoderKL, not a UNet2DConditionModel"),
        ("image_encoder", lambda: folders.vae(), "not a CLIPVisionModelWithProjection"),
        ("unet", lambda: folders.unet(use_linear_projection=True), "use_linear_projection is True, here"),
        ("unet", lambda: folders.unet(in_channels=9), "in_channels is 9, here it has to be 4"),
        (
            "unet",
            lambda: folders.unet(attention_head_dim=(2, 4)),
            "attention_head_dim differs between blocks",
        ),
        ("vae", lambda: folders.vae(latent_channels=6), "in_channels is 4, here it has to be 6"),
        ("vae", lambda: folders.vae(use_quant_conv=False), "use_quant_conv is False"),
        ("image_encoder", lambda: folders.tower(projection_dim=20), "embeds in 20 dimensions"),
        ("image_encoder", lambda: folders.tower(layer_norm_eps=0.1), "layer_norm_eps is 0.1"),
    ],
)
def test_a_wrong_part_is_one_clear_line(
    sd: Path, tmp_path: Path, part: str, module: Any, message: str
) -> None:
    wrong = changed(sd, tmp_path / "sd", part, module())
    with pytest.raises(PretrainedError) as caught:
        first_stage(wrong)
    assert message in str(caught.value)
    assert str(wrong) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["/nowhere/at/all", "./nowhere"])
def test_a_missing_folder_is_one_clear_line(source: str) -> None:
    with pytest.raises(PretrainedError, match=r"^no \w+ at \S*nowhere") as caught:
        from_stable_diffusion(CONFIG, PretrainedSources(sd=source))
    assert "\n" not in str(caught.value)


def test_damaged_weights_are_one_clear_line(sd: Path, tmp_path: Path) -> None:
    shutil.copytree(sd, tmp_path / "sd")
    file = next((tmp_path / "sd" / "unet").glob("*.safetensors"))
    weights = load_file(file)

    def error(changed: dict[str, torch.Tensor]) -> str:
        save_file(changed, file, metadata={"format": "pt"})
        with pytest.raises(PretrainedError) as caught:
            first_stage(tmp_path / "sd")
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no place for: stray" in error({**weights, "stray": torch.ones(1)})
    assert "conv_in.bias" in error({key: value for key, value in weights.items() if key != "conv_in.bias"})
    assert "conv_in.bias missing or of another" in error({**weights, "conv_in.bias": torch.ones(3)})
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(PretrainedError, match="unet"):
        first_stage(tmp_path / "sd")


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (lambda: folders.motion(block_out_channels=(8, 24)), "block_out_channels is"),
        (lambda: folders.motion(motion_layers_per_block=2), "motion_layers_per_block is 2"),
        (lambda: folders.motion(motion_norm_num_groups=2), "motion_norm_num_groups is 2"),
        (lambda: folders.motion(conv_in_channels=9), "conv_in_channels is 9"),
        (lambda: folders.motion(motion_max_seq_length=3), "clips have 4 frames"),
        (lambda: folders.unet(), "not a MotionAdapter"),
    ],
)
def test_wrong_motion_modules_are_one_clear_line(sd: Path, tmp_path: Path, module: Any, message: str) -> None:
    module().save_pretrained(tmp_path)
    first = first_stage(sd)
    with pytest.raises(PretrainedError) as caught:
        with_motion_modules(first, first.config, str(tmp_path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_transformers_the_extra_is_named(sd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModuleNotFoundError, match=r"h2r-bench\[paper\]"):
        first_stage(sd)


def run(*words: object) -> int:
    return train.main([str(word) for word in words])


def test_both_stages_train_from_the_command_line(
    sd: Path, motion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stage one at another image size than stage two, as in the paper."""
    monkeypatch.setitem(PRESETS, "tiny", replace(TINY, vpm=replace(CONFIG, image_size=(48, 32))))
    square, wide = (make_dataset(tmp_path / f"{w}", size=(w, 32)).root for w in (32, 48))
    one, two = tmp_path / "one", tmp_path / "two"
    common = ("--steps", 1, "--clips", 2, "--frames", 4, "--optimizer", "adamw", "--lr", 1e-5, "--min-snr", 5)
    first = ("--data", square, "--out", one, "--preset", "tiny", "--sd", sd, "--image-size", 32, 32)
    assert run("vpm", *first, *common) == 0
    assert (
        run(
            "vpm",
            "--stage",
            2,
            "--data",
            wide,
            "--out",
            two,
            "--init",
            one,
            "--motion",
            motion,
            *common,
            "--image-size",
            48,
            32,
        )
        == 0
    )
    report = json.loads((one / "pretrained.json").read_text())
    assert len(report["landings"][0]["landed"]) == len(stored(sd / "unet"))
    assert len(json.loads((two / "pretrained.json").read_text())["landings"]) == 1
    model = VideoPredictionModel.load(two)
    assert model.config.image_size == (48, 32)
    assert_landed(model, stored(sd / "image_encoder"), "image_encoder.clip.")
    assert_landed(model, stored(sd / "vae"), "vae.autoencoder.")
    moved = [
        key
        for key, value in stored(motion).items()
        if not torch.equal(model.st_unet.state_dict()[key], value)
    ]
    assert moved
    assert_landed(model.s_unet, VideoPredictionModel.load(one).s_unet.state_dict(), "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--sd", "a", "--vae", "b"), "one of them"),
        (("--vae", "a", "--image-encoder", "b"), "goes with --sd"),
        (("--sd", "a", "--motion", "b"), "--motion for stage 2"),
        (("--stage", "2", "--init", "a", "--sd", "b"), "--sd is for stage 1"),
        (("--sd", "/nowhere"), "no CLIPVisionModelWithProjection at /nowhere/image_encoder"),
    ],
)
def test_bad_arguments_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    data = make_dataset(tmp_path / "data").root
    try:
        status = run("vpm", "--data", data, "--out", tmp_path / "out", "--steps", 1, *words)
    except SystemExit as wrong_arguments:
        status = int(wrong_arguments.code or 0)
    assert status == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
