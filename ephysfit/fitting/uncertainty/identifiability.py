"""Identifiability of the parameters: what the spikes determine and what they leave open, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ephysfit.arrays import Array
from ephysfit.fitting.stage_reports import OpenDirection
from ephysfit.fitting.uncertainty.likelihood_surface import BLIND, Surface
from ephysfit.neuron.declare import Neuron
from ephysfit.neuron.numeric_coefficients import STEP
from ephysfit.neuron.readings import Reading
from ephysfit.neuron.roles import Role

#: parts of a direction smaller than this share of its largest are not named
NAMED = 0.3
#: most parameters named in one direction
MOST = 5
#: most open directions reported
MOST_DIRECTIONS = 5

_REST_TO_THRESHOLD = (Role.THRESHOLD, Role.REST)
#: what spikes determine of a membrane whose mV scale they do not: form, unit, meaning, how it is read off the values of
#: some roles
_READINGS: tuple[tuple[str, str, str, Callable[..., Any], tuple[Role, ...]], ...] = (
    ("{0}/{1}", "ms", "membrane time constant", lambda C, g: C / g, (Role.CAPACITANCE, Role.LEAK)),
    ("{0} ({1} - {2})", "pA", "rheobase", lambda g, top, rest: g * (top - rest), (Role.LEAK, *_REST_TO_THRESHOLD)),
    ("{0} ({1} - {2})", "fC", "charge of a brief pulse to threshold", lambda C, top, rest: C * (top - rest),
     (Role.CAPACITANCE, *_REST_TO_THRESHOLD)),
    ("({0} - {2})/({1} - {2})", "1", "reset, as a part of the way from rest to threshold",
     lambda reset, top, rest: (reset - rest) / (top - rest), (Role.RESET, *_REST_TO_THRESHOLD)),
    ("{0}/({1} - {2})", "1", "rise of the threshold at a spike, as a part of that way",
     lambda rise, top, rest: rise / (top - rest), (Role.THRESHOLD_RISE, *_REST_TO_THRESHOLD)),
    ("{0}/({1} - {2})", "1", "softness of the threshold, as a part of that way",
     lambda soft, top, rest: soft / (top - rest), (Role.SOFTNESS, *_REST_TO_THRESHOLD)),
)  # fmt: skip


def find_readings(surface: Surface) -> tuple[Reading, ...]:
    """What keeps its value along the blind directions: readings of the membrane, and what the neuron declares."""
    return (*find_membrane_readings(surface), *surface.problem.neuron.readings)


def find_membrane_readings(surface: Surface) -> tuple[Reading, ...]:
    """Time constant, rheobase and ratios of potentials, as far as the neuron has a membrane that was fitted."""
    kind, out = surface.problem.neuron, []
    for form, unit, meaning, read, roles in _READINGS:
        names = [kind.name_of(role) for role in roles]
        if None not in names and any(n in surface.free.names for n in names):
            letters = [_write_role(kind, role) for role in roles]
            out.append(Reading(form.format(*letters), unit, meaning, _reading_of_roles(read, roles)))
    return tuple(out)


def _write_role(kind: type[Neuron], role: Role) -> str | None:
    """The letter of a role; of a threshold that follows the potential, where it is read."""
    name = kind.name_of(role)
    follows = role is Role.THRESHOLD and kind.threshold_at_rest is not Neuron.threshold_at_rest
    return f"{name}({kind.name_of(Role.REST)})" if follows else name


def _reading_of_roles(read: Callable[..., Any], roles: tuple[Role, ...]) -> Callable[[Any], Any]:
    at_rest = lambda cell, role: cell.threshold_at_rest() if role is Role.THRESHOLD else cell.value_of(role)  # noqa: E731
    return lambda cell: read(*(at_rest(cell, role) for role in roles))


def compute_reading_gradient(surface: Surface, neuron: Neuron, read: Callable[[Any], Any]) -> tuple[float, Array]:
    """A reading and its gradient with respect to the free coordinates, by complex steps (`numeric_coefficients`)."""
    free = surface.free
    x, slopes = free.numbers(free.to_vector(neuron))
    moved = x + 1j * STEP * np.eye(len(x))  # a row for each parameter
    with np.errstate(all="ignore"):  # where rest and threshold meet, a part of the way between them is not finite
        found = read(free.put({n: moved[:, k] for k, n in enumerate(free.names)}, neuron))
    each = np.broadcast_to(np.asarray(found, dtype=complex), len(x))
    return float(each[0].real), each.imag / STEP * slopes


def describe_scale(surface: Surface) -> str:
    """A sentence where the spikes do not determine the mV scale; "" where they do."""
    held = list(surface.held)
    if not held:
        return ""
    many = len(held) > 1
    moves = "shifted and stretched (conductances and capacitance with them)" if many else "shifted"
    return (
        f"spikes alone fix no mV: all potentials can be {moves} without moving a spike. "
        f"{' and '.join(held)} {'are' if many else 'is'} held, so that the intervals of the others have a meaning. "
        f"What the spikes do determine are time constants, the rheobase and ratios of potentials"
    )


def find_open_directions(surface: Surface) -> list[OpenDirection]:
    """Combinations that the data narrow by less than the prior does, blindest first."""
    free = [k for k, n in enumerate(surface.free.names) if n not in surface.held]
    values, vectors = _information_directions(surface, free)
    names = [surface.free.names[k] for k in free]
    out = []
    for value, vector in zip(values[:MOST_DIRECTIONS], vectors.T[:MOST_DIRECTIONS], strict=True):
        if value < 1.0:
            parts = _largest_parts(names, vector)
            errors = float(value**-0.5) if value > BLIND else None
            out.append(OpenDirection(_describe_direction(parts), parts, errors))
    return out


def _information_directions(surface: Surface, keep: list[int]) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of the information over some parameters."""
    values, vectors = surface.information_directions
    whole = (vectors * values) @ vectors.T
    found = np.linalg.eigh(whole[np.ix_(keep, keep)])
    return found.eigenvalues, found.eigenvectors


def _largest_parts(names: list[str], vector: Array) -> dict[str, float]:
    order = np.argsort(-np.abs(vector))[:MOST]
    top = vector[order[0]]
    return {names[k]: float(vector[k] / top) for k in order if abs(vector[k] / top) >= NAMED}


def _describe_direction(parts: Mapping[str, float]) -> str:
    up = [n for n, v in parts.items() if v > 0]
    down = [n for n, v in parts.items() if v < 0]
    if len(parts) == 1:
        return f"{up[0]} by itself"
    return f"{_join_names(up)} up" + (f" with {_join_names(down)} down" if down else " together")


def _join_names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
