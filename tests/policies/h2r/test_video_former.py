"""The Video Former: attention of few queries to many cells, and what its tokens start from."""

from __future__ import annotations

from dataclasses import replace

import torch
from diffusers.models.attention_processor import Attention

from h2r_bench.policies.common.keypoints import KeypointHead
from h2r_bench.policies.common.layers import sinusoidal_embedding
from h2r_bench.policies.h2r.video_former import FewQueries, VideoFormer

from tiny import TINY


def test_it_is_the_attention_of_diffusers_in_another_order() -> None:
    torch.manual_seed(0)
    plain = Attention(32, heads=4, dim_head=8)
    ours = Attention(32, heads=4, dim_head=8, processor=FewQueries())
    ours.load_state_dict(plain.state_dict())
    queries, cells = torch.randn(3, 5, 32), torch.randn(3, 20, 32)
    expected = plain(queries, encoder_hidden_states=cells)
    torch.testing.assert_close(ours(queries, encoder_hidden_states=cells), expected, atol=1e-5, rtol=1e-4)


def test_tokens_start_from_what_the_reader_finds() -> None:
    """The reader alone may change what a frame's tokens say, whatever attention makes of its cells."""
    torch.manual_seed(0)
    config = TINY.decoder
    former = VideoFormer(config).eval()
    features = torch.randn(2, config.frames, *config.feature_shape)
    before = former(features)
    assert before.shape == (2, config.frames * config.queries_per_frame, config.width)
    assert former.reader is not None
    with torch.no_grad():
        former.reader.head[-1].bias += torch.randn(config.width)
    assert not torch.allclose(former(features), before)
    assert VideoFormer(replace(config, maps=0)).reader is None


def test_the_reader_finds_a_peak_where_it_is() -> None:
    reader = KeypointHead((4, 5, 7), maps=4, width=8)
    assert reader.places.shape == (35, 2)
    torch.testing.assert_close(reader.places[0], torch.tensor([-1.0, -1.0]))
    torch.testing.assert_close(reader.places[6], torch.tensor([-1.0, 1.0]))
    features = torch.randn(3, 4, 5, 7).to(memory_format=torch.channels_last)
    reader(features).sum().backward()
    assert all(parameter.grad is not None for parameter in reader.parameters())


def test_waves_tell_positions_apart() -> None:
    found = sinusoidal_embedding(16, 32)
    assert found.shape == (16, 32)
    nearest = torch.cdist(found, found).fill_diagonal_(torch.inf).min()
    assert nearest > 0.5
