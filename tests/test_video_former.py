"""Attention of few queries to many cells."""

from __future__ import annotations

import torch
from diffusers.models.attention_processor import Attention

from h2r_bench.policies.h2r.video_former import FewQueries


def test_it_is_the_attention_of_diffusers_in_another_order() -> None:
    torch.manual_seed(0)
    plain = Attention(32, heads=4, dim_head=8)
    ours = Attention(32, heads=4, dim_head=8, processor=FewQueries())
    ours.load_state_dict(plain.state_dict())
    queries, cells = torch.randn(3, 5, 32), torch.randn(3, 20, 32)
    expected = plain(queries, encoder_hidden_states=cells)
    torch.testing.assert_close(ours(queries, encoder_hidden_states=cells), expected, atol=1e-5, rtol=1e-4)
