from __future__ import annotations

import torch

from h2r_bench.training.data.video_augmentation import augment_video


def clips(count: int, frames: int = 3) -> torch.Tensor:
    return torch.randint(60, 200, (count, frames, 32, 48, 3), generator=generator(9), dtype=torch.uint8)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_about_a_share_is_changed_and_the_rest_stays() -> None:
    before = clips(200, 1)
    after = augment_video(before, 0.3, generator(0))
    changed = (after != before).flatten(1).any(1)
    assert 40 <= int(changed.sum()) <= 80
    assert torch.equal(augment_video(before, 0.0, generator(0)), before)
    assert after.dtype == torch.uint8


def test_all_frames_of_a_clip_change_alike() -> None:
    still = clips(8, 1).expand(-1, 4, -1, -1, -1).contiguous()
    after = augment_video(still, 1.0, generator(1))
    assert torch.equal(after, after[:, :1].expand_as(after))
    assert not torch.equal(after[0], after[1])


def test_what_moves_still_moves_in_most_of_the_picture() -> None:
    black, white = torch.full((1, 32, 32, 3), 70), torch.full((1, 32, 32, 3), 180)
    moving = torch.stack([black, white], dim=1).to(torch.uint8)
    for seed in range(10):
        after = augment_video(moving, 1.0, generator(seed)).int()
        brighter = (after[0, 1].sum(-1) > after[0, 0].sum(-1)).float().mean()
        assert brighter > 0.5


def test_the_same_seed_paints_the_same() -> None:
    assert torch.equal(augment_video(clips(6), 0.5, generator(3)), augment_video(clips(6), 0.5, generator(3)))
    assert not torch.equal(
        augment_video(clips(6), 0.5, generator(3)), augment_video(clips(6), 0.5, generator(4))
    )
