"""One long record over the lanes of a tile: stretches run side by side and are repeated until their seams agree.

A neuron forgets: after a few time constants (at once, where a spike resets everything) its state no longer depends on
where it began. So stretches of a record start from states found by a short run before them, all lanes at once; where
the end of a stretch is not the start of the next, the run is repeated from the corrected starts. When all seams agree
the run is that of one row after the other, whatever the neuron; after as many passes as there are stretches they must.
The reverse pass does the same with derivatives, which also fade.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from math import log
from typing import TYPE_CHECKING, Any

import numpy as np

from ephysfit.kernels.tiles import Layout, Lists, lanes_for
from ephysfit.neuron.declaration_cache import remembered_on_disk
from ephysfit.neuron.formula import of_numbers
from ephysfit.simulation.engines.kernel_call import KernelCall, KernelResult

if TYPE_CHECKING:
    from ephysfit.neuron.declare import Neuron

#: most steps before a stretch from which its first state is guessed
WARM = 65_536
#: slowest time constants after which a guess is as good as the precision
SPANS = {"float32": 14.0, "float64": 36.0}
#: further time constants for a spike that the first difference had moved: without them half of all records of 600,000
#: steps needed a second pass, with them one in 40 (ALIF, 39 cells and currents)
MOVED = 6.0
#: shortest stretch worth it, in steps and in guesses
SHORTEST, PART = 1_024, 0.36


def is_worthwhile(problem: KernelCall) -> bool:
    """One row, its own spikes, one input, and long enough for every lane to have work."""
    one = problem.layout.real.sum() == 1 and problem.spikes == "own" and problem.current.shape[1] == 1
    lanes = _count_lanes(problem)
    if not one or lanes == 1 or problem.steps < SHORTEST * lanes:
        return False
    return problem.steps >= PART * warm_steps(problem) * lanes


def _count_lanes(problem: KernelCall) -> int:
    return lanes_for(problem.element, 1)


def warm_steps(problem: KernelCall, more: float = 0.0) -> int:
    """Steps after which a run no longer depends on where it began, by the slowest state that decays on its own.

    It decides only how often stretches are repeated, never the result; `more` is in time constants.
    """
    return min(WARM, int((SPANS[problem.element] + more) * longest_memory(problem)) + problem.segment)


def longest_memory(problem: KernelCall) -> float:
    """Steps in which the slowest state that decays on its own falls to 1/e."""
    decay, _ = _decay_and_rest(problem.neuron)
    rates = [min(abs(1 + float(k)), 1.0) for k in decay(*_select_row(problem, problem.coefs).tolist())]
    return max((-1 / log(r) if 0 < r < 1 else WARM if r else 1.0 for r in rates), default=WARM)


@cache
def _decay_and_rest(neuron: type[Neuron]) -> tuple[Callable, Callable]:
    """Functions of the coefficients: what each state that decays on its own loses in a step; the states at rest."""
    lost, rest = _formulas(neuron)
    return of_numbers(lost), of_numbers(rest)


@remembered_on_disk
def _formulas(neuron: type[Neuron]) -> tuple[str, str]:
    # sympy is only needed for formulas that are not on disk yet
    import sympy

    from ephysfit.kernels.step_algebra import pieces
    from ephysfit.neuron.formula import formula

    p = pieces(neuron)
    slopes = [sympy.sympify(sympy.diff(e, x)) for e, x in zip(p.free, p.x, strict=True)]
    own = [e for e in slopes if e.free_symbols <= set(p.c) and not e.atoms(sympy.Function)]
    return formula(p.c, own), formula(p.c, list(p.rest))


def _select_row(problem: KernelCall, values: np.ndarray) -> np.ndarray:
    """Values (…, lane) of the one row; its tile holds copies."""
    return values.reshape(-1, problem.refractory.size)[:, 0]


def forward(problem: KernelCall, *, keep: bool, tau: float | None) -> KernelResult:
    """As `KernelCall.run`, for one row."""
    body, tail = _split_record(problem)
    length, lanes, span = body.steps, body.layout.lanes, longest_memory(problem)
    rest = _compute_rest(problem, tau)
    states, refractory_until = np.repeat(rest, lanes, 1), np.zeros(lanes, np.int32)
    since = max(0, length - warm_steps(problem, MOVED)) // body.segment * body.segment
    result = body.run(keep=keep, tau=tau, start=(states, refractory_until), since=since)
    for _ in range(lanes):
        states, refractory_until = _compute_starts(rest, result, length)
        result = body.run(keep=keep, tau=tau, start=(states, refractory_until))
        if _starts_agree((states, refractory_until), _compute_starts(rest, result, length), span):
            break
    copies = tail.refractory.size
    end = (
        np.repeat(result.final[:, -1:], copies, 1),
        np.repeat(np.maximum(result.final_refractory_until[-1:] - length, 0), copies),
    )
    rested = tail.run(keep=keep, tau=tau, start=end)
    return _join_parts(problem, result, rested)


def _split_record(problem: KernelCall) -> tuple[KernelCall, KernelCall]:
    """Stretches of equal length as rows, and what remains as one row; both for the same kernel."""
    lanes = _count_lanes(problem)
    line = 64 // np.dtype(problem.element).itemsize
    lines = (problem.steps - 1) // lanes // line  # something always remains
    length = (lines - (lines % 2 == 0)) * line  # an odd number: stretches that lie pages apart share cache sets
    lane = np.arange(lanes)
    layout = Layout(lanes, 1, lanes, False, lane, lane, np.ones(lanes, bool), (lane, lane, np.zeros(lanes, np.int64)))
    cut = lanes * length
    body = replace(
        problem,
        layout=layout,
        current=problem.current[..., :cut].reshape(lanes, 1, length),
        coefs=np.repeat(_select_row(problem, problem.coefs), lanes),
        refractory=np.repeat(problem.refractory[:1], lanes),
        lists=_cut_lists(problem, [length * k for k in range(lanes + 1)]),
        part=problem.segment,
    )
    tail = replace(
        problem,
        layout=replace(problem.layout, shared=False),
        current=problem.current[..., cut:].copy(),
        lists=_cut_lists(problem, [cut, problem.steps]),
        part=problem.segment,
    )
    return body, tail


def _cut_lists(problem: KernelCall, edges: list[int]) -> Lists:
    which = int(problem.layout.sources[1][0])
    lists = problem.lists
    if not lists.at.size:
        return Lists(np.zeros(len(edges), np.int64), lists.at, (len(edges) - 1, 1))
    at = lists.at[lists.begin[which] : lists.begin[which + 1]]
    places = np.searchsorted(at, edges)
    inside = at[places[0] : places[-1]]
    begins = np.repeat(np.array(edges[:-1]), places[1:] - places[:-1])
    return Lists((places - places[0]).astype(np.int64), inside - begins, (len(edges) - 1, 1))


def _compute_rest(problem: KernelCall, tau: float | None) -> np.ndarray:
    _, resting = _decay_and_rest(problem.neuron)
    rest = [*map(float, resting(*_select_row(problem, problem.coefs).tolist())), *[0.0] * (tau is not None)]
    return np.array(rest, problem.element)[:, None]


def _compute_starts(rest: np.ndarray, result: KernelResult, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts of all stretches: rest, then the end of each one's predecessor."""
    states = np.concatenate([rest, result.final[:, :-1]], 1)
    refractory_until = np.concatenate([[0], np.maximum(result.final_refractory_until[:-1] - length, 0)]).astype(
        np.int32
    )
    return states, refractory_until


def _starts_agree(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray], span: float) -> bool:
    """Whether starts agree to a fraction of what rounding does to a state over `span` steps: half a unit each."""
    near = np.abs(a[0] - b[0]) <= min(max(8.0, span / 8), 256.0) * np.finfo(a[0].dtype).eps * (1 + np.abs(b[0]))
    return bool((near | ~np.isfinite(b[0])).all() and (a[1] == b[1]).all())


def _join_parts(problem: KernelCall, body: KernelResult, tail: KernelResult) -> KernelResult:
    length, lanes = body.problem.steps, body.problem.layout.lanes
    parts = [body.lane_events[k, :n] for k, n in enumerate(body.lane_counts.tolist())]
    at = np.concatenate([*parts, tail.lane_events[0, : tail.lane_counts[0]]])
    at += np.repeat(length * np.arange(lanes + 1, dtype=at.dtype), [*body.lane_counts, tail.lane_counts[0]])
    copies = problem.refractory.size
    loss = np.repeat(body.loss.sum() + tail.loss[:1], copies)
    none = np.zeros(0, problem.element)
    saved, events = np.zeros((copies, 0, problem.steps), problem.element), np.broadcast_to(at, (copies, at.size))
    no_checkpoint, counts = np.zeros(0, np.int32), np.repeat(at.size, copies)
    return KernelResult(
        problem, events, counts, none, no_checkpoint, loss, saved, tail.final, tail.final_refractory_until, (body, tail)
    )


def reverse(result: KernelResult, *, dense: Any, drive: bool, **how: Any) -> tuple[np.ndarray, np.ndarray]:
    """As `KernelCall.run_back`, for a run taken in stretches."""
    assert result.parts is not None
    first, last = result.parts
    body, tail = first.problem, last.problem
    lanes, cut, copies = body.layout.lanes, body.layout.lanes * body.steps, tail.refractory.size
    at_body = None if dense is None else np.ascontiguousarray(dense.reshape(-1)[:cut])
    at_tail = None if dense is None else np.ascontiguousarray(dense.reshape(-1)[cut:])
    size = body.states + (how["tau"] is not None)
    zero = np.zeros((size, copies), body.element)
    gained, driven_tail, edge = tail.run_back(
        last, dense=at_tail, drive=drive, later=zero, first=np.zeros(copies, body.element), **how
    )
    edge, driven_tail = edge[:, :1], driven_tail[:1]
    begins = (np.arange(lanes) == 0).astype(body.element)
    later = np.concatenate([np.repeat(zero[:, :1], lanes - 1, 1), edge], 1)
    given = {"dense": at_body, "first": begins, **how}
    warm = min(body.steps, -(-warm_steps(result.problem) // body.segment) * body.segment)
    _, _, earlier = body.run_back(first, drive=drive, later=later, steps=warm, **given)
    for _ in range(lanes):
        later = np.concatenate([earlier[:, 1:], edge], 1)
        gradient, driven, earlier = body.run_back(first, drive=drive, later=later, **given)
        if _gradients_agree(later, np.concatenate([earlier[:, 1:], edge], 1)):
            break
    total = np.repeat(gradient.sum(1, keepdims=True) + gained[:, :1], copies, 1)
    if not drive:
        return result.problem.layout.scatter(total), driven_tail
    current = np.concatenate([driven.reshape(1, 1, -1), driven_tail], 2)
    return result.problem.layout.scatter(total), np.broadcast_to(current, (copies, *current.shape[1:]))


def _gradients_agree(a: np.ndarray, b: np.ndarray) -> bool:
    if not np.isfinite(b).all():
        return True  # a gradient that overflowed stays so; more passes do not repair it
    size = np.abs(b).max(1, keepdims=True)
    return bool((np.abs(a - b) <= 64 * np.finfo(a.dtype).eps * size).all())
