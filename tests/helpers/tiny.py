"""Agents of sizes that train in a blink: 32x32 images, 8x8 latents, clips of 4 frames."""

from h2r_bench.policies.baselines.diffusion_policy.config import DiffusionPolicyConfig
from h2r_bench.policies.baselines.xskill.config import XSkillConfig, XSkillSizes
from h2r_bench.policies.baselines.xskill.skill_encoder import PrototypeConfig, SkillConfig
from h2r_bench.policies.common.chunk_unet import ChunkUNetConfig
from h2r_bench.policies.common.visual_encoder import VisionConfig
from h2r_bench.policies.h2r.config import (
    BehaviorConfig,
    DecoderConfig,
    H2RConfig,
    UNetConfig,
    VAEConfig,
    VPMConfig,
)

TINY = H2RConfig(
    vpm=VPMConfig(
        image_size=(32, 32),
        frames=4,
        vae=VAEConfig(patch=2, channels=(8, 8), latent_channels=4, groups=4),
        unet=UNetConfig(channels=(8, 16), heads=2, groups=4, token_dim=8),
        behavior=BehaviorConfig(channels=(8, 8, 8), groups=4, comparison=(8, 8, 8)),
    ),
    decoder=DecoderConfig(
        feature_shape=(16, 4, 4),
        frames=4,
        width=16,
        heads=2,
        queries_per_frame=2,
        former_layers=1,
        policy_layers=1,
        chunk=4,
        maps=8,
    ),
    execute=2,
)

TINY_VISION = VisionConfig((32, 32), (28, 28), channels=(8, 8), dilations=(1,), points=4, out=12, groups=4)
TINY_RESNET = VisionConfig((32, 32), (28, 28), "resnet", (8, 8), strides=(1, 1), points=4, out=None, groups=4)
TINY_UNET = ChunkUNetConfig(channels=(8, 16), groups=4, time_width=8, chunk=4, sample_steps=2)
TINY_DIFFUSION_POLICY = DiffusionPolicyConfig(vision=TINY_VISION, unet=TINY_UNET, word_width=4)
TINY_XSKILL = XSkillSizes(
    skills=SkillConfig(
        image_size=(32, 32),
        crop=(28, 28),
        channels=(8, 8, 8),
        width=16,
        layers=1,
        heads=2,
        window=2,
        stride=2,
        prototypes=PrototypeConfig(count=6, near=1, far=3),
    ),
    policy=XSkillConfig(skill_width=16, longest=8, layers=1, heads=2, vision=TINY_VISION, unet=TINY_UNET),
)
