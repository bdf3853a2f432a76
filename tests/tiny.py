"""An H2R agent of sizes that train in a blink: 32x32 images, 8x8 latents, clips of 4 frames."""

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
        behavior=BehaviorConfig(channels=(8, 8, 8), groups=4),
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
    ),
    execute=2,
)
