"""One long record over the lanes of a tile: stretches run side by side and are repeated until their seams agree.

A neuron forgets: after a few time constants (at once, where a spike resets everything) its state no longer tells what
it began from. So stretches of a record start from states found by a short run before them, all lanes at once; where the
end of a stretch is not the start of the next, the run is repeated from the corrected starts. When all seams agree the
run is that of one row after the other, whatever the neuron; after as many passes as there are stretches they must. The
reverse pass does the same with derivatives, which also fade.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ephysfit.simulation.layout import Layout, Lists, lanes_for
from ephysfit.simulation.pieces import pieces

if TYPE_CHECKING:
    from ephysfit.simulation.compiled import Done, Problem

#: steps before a stretch from which its first state is guessed
WARM = 65_536
#: shortest stretch worth it
SHORTEST = 4_096


def worthwhile(problem: Problem) -> bool:
    """One row, its own spikes, one input, and long enough for every lane to have work."""
    one = problem.layout.row.size == 1 and problem.spikes == "own" and problem.current.shape[1] == 1
    lanes = _lanes(problem)
    return one and lanes > 1 and problem.steps >= SHORTEST * lanes


def _lanes(problem: Problem) -> int:
    return lanes_for(problem.element, 1000)


def forward(problem: Problem, *, keep: bool, tau: float | None) -> Done:
    """As `Problem.run`, for one row."""
    body, tail = _split(problem)
    length, lanes = body.steps, body.layout.lanes
    rest = _rest(problem, tau)
    states, awake = np.repeat(rest, lanes, 1), np.zeros(lanes, np.int32)
    done = body.run(tau=tau, start=(states, awake), since=max(0, length - WARM) // body.segment * body.segment)
    for _ in range(lanes):
        states, awake = _onward(rest, done, length)
        done = body.run(keep=keep, tau=tau, start=(states, awake))
        if _agree((states, awake), _onward(rest, done, length)):
            break
    end = (done.final[:, -1:].copy(), np.maximum(done.asleep[-1:] - length, 0))
    rested = tail.run(keep=keep, tau=tau, start=end)
    return _joined(problem, done, rested)


def _split(problem: Problem) -> tuple[Problem, Problem]:
    """Stretches of equal length as rows, and what remains as one row."""
    lanes = _lanes(problem)
    length = problem.steps // lanes // problem.segment * problem.segment
    lane = np.arange(lanes)
    layout = Layout(lanes, 1, lanes, False, lane, lane, np.ones(lanes, bool), (lane, lane, np.zeros(lanes, np.int64)))
    cut = lanes * length
    body = replace(
        problem,
        layout=layout,
        current=problem.current[..., :cut].reshape(lanes, 1, length),
        coefs=np.repeat(problem.coefs, lanes),
        refractory=np.repeat(problem.refractory, lanes),
        lists=_cut_lists(problem, [length * k for k in range(lanes + 1)]),
    )
    tail = replace(problem, current=problem.current[..., cut:].copy(), lists=_cut_lists(problem, [cut, problem.steps]))
    return body, tail


def _cut_lists(problem: Problem, edges: list[int]) -> Lists:
    which = int(problem.layout.sources[1][0])
    lists = problem.lists
    at = lists.at[lists.begin[which] : lists.begin[which + 1]]
    places = np.searchsorted(at, edges)
    shifted = [at[a:b] - e for a, b, e in zip(places[:-1], places[1:], edges[:-1], strict=True)]
    return Lists((places - places[0]).astype(np.int64), np.concatenate(shifted), (len(shifted), 1))


def _rest(problem: Problem, tau: float | None) -> np.ndarray:
    p = pieces(problem.neuron)
    values = dict(zip(p.c, problem.coefs.tolist(), strict=True))
    rest = [float(r.xreplace(values)) for r in p.rest] + [0.0] * (tau is not None)
    return np.array(rest, problem.element)[:, None]


def _onward(rest: np.ndarray, done: Done, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts of all stretches: rest, then the end of each one's predecessor."""
    states = np.concatenate([rest, done.final[:, :-1]], 1)
    awake = np.concatenate([[0], np.maximum(done.asleep[:-1] - length, 0)]).astype(np.int32)
    return states, awake


def _agree(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> bool:
    """Up to a few units in the last place, as runs of other engines agree."""
    near = np.abs(a[0] - b[0]) <= 8 * np.finfo(a[0].dtype).eps * (1 + np.abs(b[0]))
    return bool((near | ~np.isfinite(b[0])).all() and (a[1] == b[1]).all())


def _joined(problem: Problem, body: Done, tail: Done) -> Done:
    from ephysfit.simulation.compiled import Done

    length, lanes = body.problem.steps, body.problem.layout.lanes
    parts = [body.lane_events[k, : body.lane_counts[k]] + k * length for k in range(lanes)]
    at = np.concatenate([*parts, tail.lane_events[0, : tail.lane_counts[0]] + lanes * length])
    loss = np.array([body.loss.sum() + tail.loss.sum()])
    none = np.zeros(0, problem.element)
    return Done(problem, at[None], np.array([at.size]), none, np.zeros(0, np.int32), loss,
                np.zeros((1, 0, problem.steps), problem.element), tail.final, tail.asleep, (body, tail))  # fmt: skip


def reverse(done: Done, *, dense: Any, drive: bool, **how: Any) -> tuple[np.ndarray, np.ndarray]:
    """As `Problem.reverse`, for a run taken in stretches."""
    assert done.stretches is not None
    first, last = done.stretches
    body, tail = first.problem, last.problem
    lanes, cut = body.layout.lanes, body.layout.lanes * body.steps
    at_body = None if dense is None else np.ascontiguousarray(dense.reshape(-1)[:cut])
    at_tail = None if dense is None else np.ascontiguousarray(dense.reshape(-1)[cut:])
    size = body.states + (how["tau"] is not None)
    zero = np.zeros((size, 1), body.element)
    gained, driven_tail, edge = tail.run_back(
        last, dense=at_tail, drive=drive, later=zero, first=np.zeros(1, body.element), **how
    )
    begins = (np.arange(lanes) == 0).astype(body.element)
    later = np.concatenate([np.repeat(zero, lanes - 1, 1), edge], 1)
    given = {"dense": at_body, "first": begins, **how}
    warm = min(body.steps, WARM // body.segment * body.segment)
    _, _, earlier = body.run_back(first, drive=False, later=later, steps=warm, **given)
    for _ in range(lanes):
        later = np.concatenate([earlier[:, 1:], edge], 1)
        gradient, driven, earlier = body.run_back(first, drive=drive, later=later, **given)
        if _settled(later, np.concatenate([earlier[:, 1:], edge], 1)):
            break
    total = gradient.sum(1, keepdims=True) + gained
    current = np.concatenate([driven.reshape(1, 1, -1), driven_tail], 2) if drive else driven_tail
    return done.problem.layout.scatter(total), current


def _settled(a: np.ndarray, b: np.ndarray) -> bool:
    if not np.isfinite(b).all():
        return True  # a gradient that overflowed stays so; more passes do not mend it
    size = np.abs(b).max(1, keepdims=True)
    return bool((np.abs(a - b) <= 64 * np.finfo(a.dtype).eps * size).all())
