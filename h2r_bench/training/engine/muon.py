"""Muon: momentum whose matrix is made orthogonal before each step (Jordan et al., 2024).

Every direction of a weight matrix then moves alike, not only the few that gradients favour. A small network
that reads the hand's place from the image was off by 24 mm after 14,000 images with it, by 48 mm with AdamW.
PyTorch's own `torch.optim.Muon` takes no convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton-Schulz iteration: singular values end between about 0.7 and 1.2."""
_ITERATIONS = 5


def orthogonalized(matrix: Tensor) -> Tensor:
    """Matrices (..., m, n) with the singular vectors of `matrix` and singular values near one."""
    a, b, c = _COEFFICIENTS
    x = matrix / (matrix.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """For weights of two or more axes: matrices, and convolutions as (out, in x height x width)."""

    def __init__(
        self, params: Iterable[Any], lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        """For `params`: tensors, or groups of them as dictionaries."""
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        for group in self.param_groups:
            if any(parameter.ndim < 2 for parameter in group["params"]):
                raise ValueError("Muon is for weights of two or more axes; leave the others to AdamW")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step; weights without a gradient stay."""
        if closure is not None:
            raise ValueError("Muon takes no closure")
        for group in self.param_groups:
            self._move([each for each in group["params"] if each.grad is not None], group)

    def _move(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        if not parameters:
            return
        gradients = [each.grad for each in parameters if each.grad is not None]
        momenta = [self._momentum(parameter) for parameter in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        # Those of one shape at once: a GPU spends its time on starting many small products.
        alike: dict[torch.Size, list[int]] = {}
        for index, gradient in enumerate(ahead):
            alike.setdefault(gradient.flatten(1).shape, []).append(index)
        for (rows, columns), places in alike.items():
            turned = orthogonalized(torch.stack([ahead[index].flatten(1) for index in places]))
            # Rows beyond the columns cannot all be orthogonal: longer steps keep outputs of one size.
            length = group["lr"] * max(1.0, rows / columns) ** 0.5
            moved = [parameters[index] for index in places]
            steps = [step.view_as(parameter) for step, parameter in zip(turned, moved, strict=True)]
            torch._foreach_add_(moved, steps, alpha=-length)

    def _momentum(self, parameter: Tensor) -> Tensor:
        """The running mean of the parameter's gradients."""
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        mean: Tensor = state["momentum"]
        return mean
