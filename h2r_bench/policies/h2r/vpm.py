"""The video prediction model (paper, section 4.1): from a human clip and one robot frame to a robot clip.

With `VPMConfig.language` it is told the task in words instead of being shown a human.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from diffusers import DDIMScheduler, UNetMotionModel
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor, nn
from torch.nn import functional as F

from h2r_bench.policies.common.checkpoints import load_model, read_config, read_sizes, save_weights
from h2r_bench.policies.common.config_json import to_json
from h2r_bench.policies.common.diffusion import min_snr_weight, set_timesteps, target_of
from h2r_bench.policies.common.images import to_uint8, to_unit
from h2r_bench.policies.h2r.behavior_extractor import BehaviorExtractor, SceneComparison
from h2r_bench.policies.h2r.config import FeatureConfig, VPMConfig
from h2r_bench.policies.h2r.image_encoder import build_image_encoder
from h2r_bench.policies.h2r.language_conditioning import WordTokens
from h2r_bench.policies.h2r.reference_attention import Bank, ReferenceReader, ReferenceWriter, install
from h2r_bench.policies.h2r.unets import build_spatial, build_spatial_temporal
from h2r_bench.policies.h2r.vae import LatentCoder

if TYPE_CHECKING:
    from pathlib import Path

    from h2r_bench.policies.common.config import LanguageConfig

Generators = torch.Generator | list[torch.Generator]
"""One generator, or one per clip of the batch."""


class _FirstUpBlockDone(Exception):
    """Carries the features out of the ST-UNet; what follows them is not computed."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features


class VideoPredictionModel(nn.Module):
    """S-UNet, ST-UNet, behaviour extractor, image encoder and the frozen VAE.

    Without temporal layers (stage one) frames are predicted one by one; `with_temporal_layers` gives the
    model of stage two. Clips are (B, F, H, W, 3) uint8, latents (B, F, c, h, w). What it follows, the
    `conditioning`, is the human's clip, or for a language-conditioned model what
    `language_conditioning.conditioning` makes of the words, (B, F, width + 1) float32. With
    `VPMConfig.same_view` the human's clip is expected as the robot's camera would show it
    (`h2r_bench.policies.h2r.camera_alignment`).
    """

    def __init__(self, config: VPMConfig, *, temporal: bool = False) -> None:
        super().__init__()
        self.config = config
        self.temporal = temporal
        self.vae = LatentCoder(config.vae).requires_grad_(False)
        width = config.unet.channels[max(0, config.behavior.level - 1)]
        if config.language is None:
            self.image_encoder = build_image_encoder(config)
            self.behavior = BehaviorExtractor(config.behavior, width)
            self.comparison = SceneComparison(config.behavior, width) if config.behavior.comparison else None
        else:
            added = width if config.guide_added else None
            self.words = WordTokens(config.language.width, config.unet.token_dim, added)
        self.s_unet = build_spatial(config)
        spatial = build_spatial(config, reference_input=config.reference_input)
        self.st_unet: nn.Module = build_spatial_temporal(config, spatial) if temporal else spatial
        self.scheduler = _scheduler(config)
        self._bank: Bank = {}
        self._behavior: Tensor | None = None
        self._reference: Tensor | None = None
        self._connect()

    def _connect(self) -> None:
        install(self.s_unet, ReferenceWriter, self._bank)
        install(self.st_unet, ReferenceReader, self._bank)
        self._entrance().register_forward_hook(self._add_behavior)

    def _entrance(self) -> nn.Module:
        """The layer of the ST-UNet to whose output the behaviour extractor's features are added."""
        level, unet = self.config.behavior.level, self.st_unet
        entrance: nn.Module = unet.down_blocks[level - 1].downsamplers[0] if level else unet.conv_in  # type: ignore[index, union-attr, assignment]
        return entrance

    def _add_behavior(self, _module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        if self._behavior is None:
            return output
        # The paper's four convolutions end at half the resolution of its latents.
        same = self._behavior.shape[-2:] == output.shape[-2:]
        added = self._behavior if same else F.interpolate(self._behavior, output.shape[-2:], mode="bilinear")
        return output + added

    def with_temporal_layers(self, config: VPMConfig | None = None) -> VideoPredictionModel:
        """The model of stage two: these weights, and T-layers that start as the identity.

        `config` is for other clips (image size, frames) or T-layers than this model's own.
        """
        model = VideoPredictionModel(config or self.config, temporal=True)
        own = self.state_dict()
        missing = model.load_state_dict(own, strict=False)
        if missing.unexpected_keys:
            raise RuntimeError(f"not carried over to stage two: {missing.unexpected_keys}")
        return model

    def with_comparison(self, widths: tuple[int, ...]) -> VideoPredictionModel:
        """These weights with a scene comparison of `widths` that says nothing yet, if there is none."""
        if self.config.language is not None or self.comparison is not None:
            return self
        behavior = replace(self.config.behavior, comparison=widths)
        return self._extended(replace(self.config, behavior=behavior), "comparison.")

    def with_same_view(self) -> VideoPredictionModel:
        """These weights, to be shown the human moved onto the robot's view."""
        model = VideoPredictionModel(replace(self.config, same_view=True), temporal=self.temporal)
        model.load_state_dict(self.state_dict())
        return model

    def with_words(self, language: LanguageConfig) -> VideoPredictionModel:
        """These VAE and UNets in a model that is told the task in `language`; what it is told is new."""
        config = replace(self.config, language=language, guide_added=True)
        model = VideoPredictionModel(config, temporal=self.temporal)
        own = self.state_dict()
        kept = {
            name: value for name, value in own.items() if name.split(".")[0] in ("vae", "s_unet", "st_unet")
        }
        missing = model.load_state_dict(kept, strict=False).missing_keys
        if wrong := [name for name in missing if not name.startswith("words.")]:
            raise RuntimeError(f"not carried over: {wrong}")
        return model

    def with_guide_added(self) -> VideoPredictionModel:
        """These weights of a model that is told the task; what is added to its maps says nothing yet."""
        if self.config.guide_added:
            return self
        return self._extended(replace(self.config, guide_added=True), "words.added.")

    def _extended(self, config: VPMConfig, new: str) -> VideoPredictionModel:
        """These weights in a model of `config`, in which only parts whose names begin with `new` are new."""
        model = VideoPredictionModel(config, temporal=self.temporal)
        missing = model.load_state_dict(self.state_dict(), strict=False).missing_keys
        if wrong := [name for name in missing if not name.startswith(new)]:
            raise RuntimeError(f"not carried over: {wrong}")
        return model

    def without_temporal_layers(self) -> VideoPredictionModel:
        """The model of stage one in this one: these weights, its T-layers left out."""
        model = VideoPredictionModel(self.config)
        own = self.state_dict()
        model.load_state_dict({name: own[name] for name in model.state_dict()})
        return model

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights. Images become tensors of it; features and losses are float32."""
        return next(self.st_unet.parameters()).dtype

    def condition(
        self, conditioning: Tensor, robot: Tensor, reference: Tensor, *, drop: bool = False
    ) -> Tensor:
        """Prepare what the ST-UNet sees beside the noise; returns the tokens of cross-attention.

        `conditioning`: see above. `robot`: (B, H, W, 3) uint8, the robot's reference frame, and `reference`:
        (B, c, h, w), its latents. The S-UNet runs once per clip, at timestep 0. `drop` leaves the reference
        out (classifier-free training). The tokens are (B, 1, D) of the image, or (B F, 2, D) of the words.
        """
        self._bank.clear()
        self._reference = torch.zeros_like(reference) if drop else reference
        if self.config.language is None:
            self._behavior = self._follow(conditioning, None if drop else robot)
            tokens: Tensor = self.image_encoder(robot, reference)
            own = tokens
        else:
            tokens = self.words(conditioning.flatten(0, 1).to(self.dtype))
            own = self.words.of_reference(conditioning[:, 0].to(self.dtype))
            self._behavior = None if drop or not self.config.guide_added else self.words.maps(tokens)
        if drop:
            return torch.zeros_like(tokens)
        self.s_unet(reference, 0, own)
        return tokens

    def _follow(self, human: Tensor, robot: Tensor | None) -> Tensor:
        """What the human's clip adds to each frame's maps, (B F, C, h, w); `robot`: the frame to compare."""
        frames = to_unit(human.flatten(0, 1)).to(self.dtype)
        behavior: Tensor = self.behavior(frames)
        if self.comparison is None or robot is None:
            return behavior
        first = frames.unflatten(0, human.shape[:2])[:, 0]
        compared = self.comparison(first, to_unit(robot).to(self.dtype))
        return behavior + compared.repeat_interleave(human.shape[1], 0)

    def denoise(self, noisy: Tensor, timestep: Tensor, token: Tensor) -> Tensor:
        """The ST-UNet's output for `noisy` (B, F, c, h, w) at `timestep` (B,), the condition prepared."""
        batch, frames = noisy.shape[:2]
        tokens = token.repeat_interleave(batch * frames // len(token), 0)
        if self.config.reference_input and self._reference is not None:
            noisy = torch.cat([noisy, self._reference[:, None].expand_as(noisy)], dim=2)
        if isinstance(self.st_unet, UNetMotionModel):
            out: Tensor = self.st_unet(noisy.transpose(1, 2), timestep, tokens).sample.transpose(1, 2)
            return out
        flat = self.st_unet(noisy.flatten(0, 1), timestep.repeat_interleave(frames), tokens).sample
        frame_by_frame: Tensor = flat.unflatten(0, (batch, frames))
        return frame_by_frame

    def loss(
        self,
        conditioning: Tensor,
        robot: Tensor,
        reference: Tensor,
        target: Tensor,
        generator: torch.Generator,
        *,
        last_share: float = 0.5,
        drop: float = 0.1,
        motion_weight: float = 0.0,
        min_snr: float | None = None,
        focus: Tensor | None = None,
    ) -> Tensor:
        """Equation 1 for `target` (B, F, c, h, w), the robot's future latents; v for epsilon by default.

        `conditioning`, `robot`, `reference`: as for `condition`. A share `last_share` of the clips is at the
        last timestep (pure noise), where features are read; a share `drop` of the calls goes unconditioned.
        `motion_weight` counts cells that differ from the reference more, in proportion to the difference.
        `min_snr` is the gamma of min-SNR weighting, see `min_snr_weight`. `focus` (B, F, h, w) counts cells
        by so much more.
        """
        dropped = bool(torch.rand((), generator=generator) < drop)
        token = self.condition(conditioning, robot, reference, drop=dropped)
        device = target.device
        shared = randn_tensor((*target.shape[:3], 1, 1), generator=generator, device=device)
        noise = randn_tensor(target.shape, generator=generator, device=device)
        noise = noise + self.config.noise_offset * shared
        timestep = self._timesteps(len(target), generator, last_share).to(device)
        change = (target - reference[:, None]).abs().mean(2, keepdim=True)
        if self.config.residual:
            target = target - reference[:, None]
        noisy = self.scheduler.add_noise(target, noise, timestep)
        wanted = target_of(self.config.noise.prediction, self.scheduler, target, noise, timestep)
        error = (self.denoise(noisy, timestep, token) - wanted).square()
        if min_snr is not None:
            snr = min_snr_weight(self.config.noise.prediction, self.scheduler, timestep, min_snr)
            error = error * snr[:, None, None, None, None]
        weight = 1.0 + motion_weight * change
        if focus is not None:
            weight = weight + focus[:, :, None]
        return (error * weight).mean() / weight.mean()

    def _timesteps(self, count: int, generator: torch.Generator, last_share: float) -> Tensor:
        last = self.config.noise.train_steps - 1
        drawn = torch.randint(0, last + 1, (count,), generator=generator)
        return torch.where(torch.rand(count, generator=generator) < last_share, last, drawn)

    @torch.no_grad()
    def features(
        self, conditioning: Tensor, robot: Tensor, generator: Generators, read: FeatureConfig | None = None
    ) -> Tensor:
        """The first up-sampling layer's output after one denoising step, by default from pure noise.

        `conditioning`: as for `condition`; `robot`: (B, H, W, 3) uint8, the current robot image. `read` says
        where the step begins, if not where the config does. Returns (B, F, C, h, w), see
        `VPMConfig.feature_shape`.
        """
        batch, frames = conditioning.shape[:2]
        read = read or self.config.features
        reference = self.vae.encode(to_unit(robot))
        token = self.condition(conditioning, robot, reference)
        timestep = self._first_timestep(read).expand(batch).to(conditioning.device)
        noise = self._noise(conditioning, generator)
        if read.start == "human":
            noise = self.scheduler.add_noise(self._human_latents(conditioning, reference), noise, timestep)
        hook = self.st_unet.up_blocks[0].register_forward_hook(_stop)  # type: ignore[index, union-attr]
        try:
            self.denoise(noise, timestep, token)
        except _FirstUpBlockDone as done:
            features = F.avg_pool2d(done.features, self.config.feature_pool)
            return features.unflatten(0, (batch, frames)).float()
        finally:
            hook.remove()
        raise RuntimeError("the ST-UNet has no up-sampling layer")

    def _first_timestep(self, read: FeatureConfig) -> Tensor:
        last = self.config.noise.train_steps - 1
        timestep = last if read.timestep is None else read.timestep
        if not 0 <= timestep <= last:
            raise ValueError(f"features are read at a timestep of 0 to {last}, got {timestep}")
        return torch.tensor([timestep])

    def _noise(self, conditioning: Tensor, generator: Generators) -> Tensor:
        """Unit Gaussian latents for the clips that follow `conditioning`."""
        shape = (*conditioning.shape[:2], *self.config.latent_shape)
        return randn_tensor(shape, generator=generator, device=conditioning.device).to(self.dtype)

    def _human_latents(self, human: Tensor, reference: Tensor) -> Tensor:
        """Latents (B, F, c, h, w) of the human's frames, as those of the robot's are generated."""
        if self.config.language is not None:
            raise ValueError("a model that is told the task sees no human frames to start from")
        latents = self.vae.encode(to_unit(human.flatten(0, 1))).unflatten(0, human.shape[:2])
        return latents - reference[:, None] if self.config.residual else latents

    @torch.no_grad()
    def generate(self, conditioning: Tensor, robot: Tensor, generator: Generators, steps: int = 30) -> Tensor:
        """The predicted robot clip (B, F, H, W, 3) uint8 after `steps` DDIM steps, asked as `features` is."""
        batch, frames = conditioning.shape[:2]
        reference = self.vae.encode(to_unit(robot))
        token = self.condition(conditioning, robot, reference)
        latents = self._noise(conditioning, generator)
        set_timesteps(self.scheduler, steps, latents.device)
        for timestep in self.scheduler.timesteps:
            output = self.denoise(latents, timestep.expand(batch), token)
            latents = self.scheduler.step(output, timestep, latents).prev_sample
        if self.config.residual:
            latents = latents + reference[:, None]
        clips: Tensor = to_uint8(self.vae.decode(latents.flatten(0, 1))).unflatten(0, (batch, frames))
        return clips

    def parts(self) -> dict[str, nn.Module]:
        """What is stored, each in a file of its own name."""
        names = ["words"] if self.config.language else ["behavior", "image_encoder"]
        names += ["comparison"] if self.config.language is None and self.comparison is not None else []
        conditions = nn.ModuleDict({name: getattr(self, name) for name in names})
        return {"vae": self.vae, "conditions": conditions, "s_unet": self.s_unet, "st_unet": self.st_unet}

    def save(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write `vpm.json` and one safetensors file per part."""
        folder.mkdir(parents=True, exist_ok=True)
        record = {"config": to_json(self.config), "temporal": self.temporal}
        (folder / "vpm.json").write_text(json.dumps(record, indent=1) + "\n")
        for name, part in self.parts().items():
            save_weights(part, folder / f"{name}.safetensors", dtype)

    @classmethod
    def load(cls, folder: Path) -> VideoPredictionModel:
        """The inverse of `save`, in float32."""
        path = folder / "vpm.json"
        config, temporal = read_config(VPMConfig, path, "config"), bool(read_sizes(path).get("temporal"))
        return load_model(
            path,
            lambda: cls(config, temporal=temporal),
            lambda model: {folder / f"{name}.safetensors": part for name, part in model.parts().items()},
        )


def _stop(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
    raise _FirstUpBlockDone(output)


def _scheduler(config: VPMConfig) -> DDIMScheduler:
    """The noise schedule, with zero terminal SNR unless epsilon is predicted (pure noise cannot tell it)."""
    noise = config.noise
    return DDIMScheduler(
        num_train_timesteps=noise.train_steps,
        beta_start=noise.beta_start,
        beta_end=noise.beta_end,
        beta_schedule=noise.beta_schedule,
        prediction_type=noise.prediction,
        rescale_betas_zero_snr=noise.prediction != "epsilon",
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=True,
    )
