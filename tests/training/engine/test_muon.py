from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from h2r_bench.training.engine.muon import Muon, orthogonalized


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_singular_values_end_near_one_and_vectors_stay(rows: int, columns: int, seed: int) -> None:
    torch.manual_seed(seed)
    u, _, vh = torch.linalg.svd(torch.randn(rows, columns), full_matrices=False)
    values = torch.linspace(0.3, 1.0, len(vh))
    found = orthogonalized((u * values) @ vh)
    kept = u.T @ found @ vh.T
    assert torch.all((kept.diagonal() > 0.5) & (kept.diagonal() < 1.4))
    assert (kept - kept.diagonal().diag()).abs().max() < 1e-3


def test_a_convolution_learns_faster_than_its_smallest_gradient_would_let_it() -> None:
    torch.manual_seed(0)
    wanted, layer = torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(3, 8, 3)
    optimizer = Muon([layer.weight], lr=0.05)
    images = torch.randn(16, 3, 8, 8)

    def loss() -> torch.Tensor:
        return (layer(images) - wanted(images)).square().mean()

    before = float(loss())
    for step in range(60):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 60)
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert float(loss()) < 0.2 * before


def test_it_goes_on_from_its_state() -> None:
    def run(interrupted: bool) -> torch.Tensor:
        torch.manual_seed(1)
        weight = torch.nn.Parameter(torch.randn(4, 6))
        optimizer = Muon([weight], lr=0.1, weight_decay=0.1)
        for step in range(6):
            if interrupted and step == 3:
                kept, optimizer = optimizer.state_dict(), Muon([weight], lr=0.1, weight_decay=0.1)
                optimizer.load_state_dict(kept)
            optimizer.zero_grad()
            (weight - step).square().sum().backward()
            optimizer.step()
        return weight.detach()

    assert torch.equal(run(False), run(True))


def test_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="AdamW"):
        Muon([torch.zeros(3)])
