"""The numbers of a discrete step, computed once per cell by torch, with gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from ephysfit.neuron.affine import device_of, operators, tensors
from ephysfit.neuron.declare import Neuron, cellwise, flatten
from ephysfit.neuron.formula import of_tensors
from ephysfit.neuron.plan import plan


def coefficients(neuron: Neuron, dt: float) -> Tensor:
    """Values of all coefficients, (cell, coefficient), differentiable in the parameters.

    Matrix entries on the diagonal are given less one, so that slow states keep their digits in float32.
    """
    p = plan(type(neuron))
    cell = tensors(neuron)
    cells, where = cellwise(cell), device_of(cell)
    columns = []
    if p.entries:
        op = operators(cell, dt)
        for _, operator, i, j in p.entries:
            diagonal = operator in ("free", "held") and i == j
            columns.append(getattr(op, operator)[:, i, j] - (1.0 if diagonal else 0.0))
    if p.gathered:
        flat = flatten(cell.parameters, cell.values())
        step = torch.tensor(dt, dtype=torch.float64, device=where)
        values = of_tensors(p.values)(*[flat[n] for n in p.parameters], step)
        columns += [torch.as_tensor(v, dtype=torch.float64, device=where).reshape(-1).expand(cells) for v in values]
    return torch.stack(columns, -1) if columns else torch.zeros(cells, 0, dtype=torch.float64, device=where)
