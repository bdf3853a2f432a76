"""What is sent of the paper gives the images that sending all of it gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from h2r_bench.envs.env import TabletopEnv
from h2r_bench.envs.rendering.renderer import CameraRenderer


def images(task: str, steps: int) -> list[np.ndarray]:
    """Human video, then robot and wrist views of `steps` steps of the expert, in two trials."""
    env, seen = TabletopEnv(task, image_size=(64, 48), wrist_view=True), []
    for seed in (0, 1):
        observation, info = env.reset(seed=seed)
        seen += [info["demonstration"].frames, observation["image"], observation["wrist_image"]]
        script = env.expert_script()
        for _ in range(steps):
            observation, *_ = env.step(env.expert_action(script))
            seen += [observation["image"], observation["wrist_image"]]
    env.close()
    return seen


@pytest.mark.parametrize("task", ["brand_new", "writing_play_pen_up"])
def test_patches_give_the_images_of_the_whole_paper(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"patch_texture": 0, "refresh_texture": 0}
    for name in calls:
        send = getattr(CameraRenderer, name)

        def counted(self: CameraRenderer, *given: Any, name: str = name, send: Any = send) -> None:
            calls[name] += 1
            send(self, *given)

        monkeypatch.setattr(CameraRenderer, name, counted)
    patched, patches = images(task, 30), calls["patch_texture"]
    monkeypatch.setattr(CameraRenderer, "takes_patches", lambda self, texture_id: False)
    before = calls["refresh_texture"]
    whole = images(task, 30)
    assert calls["patch_texture"] == patches
    assert calls["refresh_texture"] > before + 60
    for one, other in zip(patched, whole, strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_is_sent_while_the_pen_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    env = TabletopEnv("brand_new", image_size=(32, 32))
    env.reset(seed=0)
    script = env.expert_script()
    for _ in range(env.horizon - 5):
        env.step(env.expert_action(script))
    sent: list[str] = []
    for name in ("patch_texture", "refresh_texture"):
        monkeypatch.setattr(CameraRenderer, name, lambda *_, name=name: sent.append(name))
    for _ in range(5):
        env.step(env.expert_action(script))
    assert env.simulation.ink_steps[-1].size > 0
    assert sent == []
    env.close()
