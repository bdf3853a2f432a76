"""Weights of every learned agent, made in a moment. A new agent adds its maker to MAKERS."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from h2r_bench.policies.baselines.diffusion_policy.model import DiffusionPolicyModel
from h2r_bench.policies.baselines.hand_tracker.config import HandConfig
from h2r_bench.policies.baselines.hand_tracker.model import HandRegressor
from h2r_bench.policies.baselines.xskill.model import XSkillModel
from h2r_bench.policies.baselines.xskill.skill_encoder import SkillEncoder
from h2r_bench.policies.common.checkpoints import MANIFEST, write_manifest
from h2r_bench.policies.h2r.action_decoder import ActionDecoder
from h2r_bench.policies.h2r.agent import H2RAgent
from h2r_bench.policies.h2r.encoders.base import Sources
from h2r_bench.policies.h2r.encoders.catalog import find_encoder
from h2r_bench.policies.h2r.vpm import VideoPredictionModel
from h2r_bench.policies.knn.frame_encoders import SceneReader, SceneReaderConfig
from h2r_bench.policies.knn.gallery import write_gallery
from h2r_bench.policies.knn.retrieval import RECORD
from h2r_bench.training.objectives.decoder_training import fitted_config

from episodes import make_episode
from tiny import TINY, TINY_DIFFUSION_POLICY, TINY_XSKILL

SIZE = TINY.vpm.image_size
TINY_RESNET = {
    "embedding_size": 8,
    "hidden_sizes": [8, 8, 8, 8],
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
}


def seal(folder: Path, **facts: object) -> Path:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    names = sorted(str(path.relative_to(folder)) for path in files)
    write_manifest(folder, {"execute": TINY.execute, "world": 1, **facts}, names)
    return folder


def decoder_agent(encoder: str, folder: Path) -> Path:
    """A decoder with random weights behind the video encoder called `encoder`."""
    torch.manual_seed(0)
    told = find_encoder(encoder).reads == ("image", "instruction")
    config = replace(TINY.vpm, language=TINY.language) if told else TINY.vpm
    vpm = VideoPredictionModel(config, temporal=True)
    if not told:
        torch.nn.init.normal_(vpm.behavior.projection.weight, std=0.1)
    run = folder.with_name(folder.name + "_vpm")
    vpm.save(run)
    seeing = find_encoder(encoder).create(TINY, Sources(vpm=run), 0)
    seeing.save(folder)
    ActionDecoder(fitted_config(TINY.decoder, seeing)).save(folder)
    return seal(folder, encoder=encoder, domains={"basic": "."})


def hand_tracker(folder: Path) -> Path:
    torch.manual_seed(0)
    HandRegressor(HandConfig(image_size=SIZE, width=16, points=2)).save(folder)
    return seal(folder)


def diffusion_policy(folder: Path) -> Path:
    torch.manual_seed(0)
    DiffusionPolicyModel(TINY_DIFFUSION_POLICY).save(folder)
    return seal(folder, domains={"basic": "."})


def xskill(folder: Path) -> Path:
    torch.manual_seed(0)
    SkillEncoder(TINY_XSKILL.skills).save(folder)
    XSkillModel(TINY_XSKILL.policy).save(folder)
    return seal(folder, domains={"basic": "."})


def knn(folder: Path, writing: bool = False) -> Path:
    """A gallery of three synthetic episodes, and an `h2r` beside it; if so wished another one for writing."""
    agent = decoder_agent("vpm", folder.with_name(folder.name + "_h2r"))
    domains = {"basic": "."}
    if writing:
        domains["writing"] = "writing"
        ActionDecoder.load(agent).save(agent / "writing")
        seal(agent, encoder="vpm", domains=domains)
    for first, place in enumerate(domains.values()):
        small_gallery(folder / place, agent, range(3 * first, 3 * first + 3))
    return seal(folder, domains=domains)


def small_gallery(folder: Path, agent: Path, seeds: range) -> None:
    """What `train knn` writes for one domain: synthetic episodes, and a reader that is of no use."""
    config = SceneReaderConfig(image_size=SIZE, width=16, points=2, moments=2)
    reader = SceneReader(config).eval()
    reader.save(folder)
    episodes = [make_episode(seed, size=SIZE) for seed in seeds]
    vectors = reader.embed(np.stack([each.robot[0] for each in episodes]))
    write_gallery(folder, [(e.task, n, e.human) for n, e in enumerate(episodes)], vectors, 10.0)
    acting = {"folder": os.path.relpath(agent, folder), "hash": H2RAgent.from_pretrained(agent).weights_hash}
    (folder / RECORD).write_text(json.dumps({"agent": acting, "towers": None, "votes": 2}))


MAKERS: dict[str, Callable[[Path], Path]] = {
    "h2r": partial(decoder_agent, "vpm"),
    "h2r_knn": knn,
    "h2r_no_pretrain": partial(decoder_agent, "untrained"),
    "h2r_no_pretrain_seeing": partial(decoder_agent, "untrained_seeing"),
    "human_decoder": partial(decoder_agent, "resnet18"),
    "blind": partial(decoder_agent, "time"),
    "vpp": partial(decoder_agent, "vpp"),
    "diffusion_policy": diffusion_policy,
    "xskill": xskill,
    "hand_tracker": hand_tracker,
}
