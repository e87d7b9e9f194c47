"""How often an honest current is accused of following the spikes, and how often one that does is found.

    python benchmarks/leaks.py [--seeds 3] [--seconds 30]

Honest: threshold neurons (leaky, adaptive, stochastic, exponential) driven by noise, steps, pulses and their like; the
spikes stamped at the beginning, in the middle and at the end of the step that made them. Leaking: the same with an
artefact of a twentieth, a tenth and a fifth of the current's standard deviation after each spike. The column
"possible" is what an observer finds who knows the noise and the waveform exactly, at the same rate of false alarms.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from math import erf, sqrt

import numba
import numpy as np
from scipy.signal import lfilter

from ephysfit.data.leaks import find_leaks
from ephysfit.data.sweep import Sweep

#: tau (ms), resistance (GOhm), threshold (mV), its jump and decay (ms), refractory period (ms), sharpness, softness
CELLS = {
    "LIF": (15.0, 0.2, 15.0, 0.0, 100.0, 2.0, 0.0, 0.0),
    "ALIF": (15.0, 0.2, 15.0, 3.0, 100.0, 2.0, 0.0, 0.0),
    "escape noise": (15.0, 0.2, 14.0, 2.0, 80.0, 3.0, 0.0, 1.5),
    "EIF": (15.0, 0.2, 14.0, 0.0, 100.0, 2.0, 1.5, 0.0),
}
DRIVES = ((60.0, 100.0), (80.0, 50.0))
#: one-sided limit of an observer who looks for one known waveform, 1 false alarm in 1,000
KNOWN = 3.1


@numba.njit(cache=True)
def fire(current, dt, cell, seed):  # pragma: no cover
    """Samples at which a cell fires, each driven by the current of that very sample."""
    tau, resistance, threshold, jump, decay, refractory, sharp, soft = cell
    np.random.seed(seed)
    out = np.zeros(len(current), dtype=np.bool_)
    v, h, wait = 0.0, 0.0, 0
    for k in range(len(current)):
        h *= np.exp(-dt / decay)
        if wait > 0:
            wait -= 1
            continue
        slope = (resistance * current[k] - v) / tau
        if sharp > 0:
            slope += sharp * np.exp(min((v - threshold) / sharp, 10.0)) / tau
        v += dt * slope
        if soft > 0:
            fires = np.random.random() < 1 - np.exp(-dt * 0.1 * np.exp(min((v - threshold - h) / soft, 20.0)))
        else:
            fires = v > threshold + h + 8 * sharp
        if fires:
            out[k] = True
            v, h, wait = 0.0, h + jump, int(refractory / dt)
    return np.flatnonzero(out)


def ou(n, dt, tau, rng):
    """Coloured noise of standard deviation 1."""
    a = np.exp(-dt / tau)
    return lfilter([sqrt(1 - a * a)], [1.0, -a], rng.normal(size=n))


def steps(n, dt, rng):
    """Random levels of half a second."""
    return np.repeat(rng.uniform(-1, 2, n // round(500 / dt) + 1), round(500 / dt))[:n]


def pulses(n, dt):
    """Pulses of 2 ms, 20 a second."""
    return 8.0 * (np.arange(n) * dt % 50 < 2)


def pink(n, rng):
    """Noise with as much power in every octave."""
    f = np.maximum(np.arange(n // 2 + 1), 1)
    out = np.fft.irfft((rng.normal(size=f.size) + 1j * rng.normal(size=f.size)) / np.sqrt(f), n)
    return (out - out.mean()) / out.std()


STIMULI = {
    "noise, 1 ms": lambda n, dt, rng: ou(n, dt, 1.0, rng),
    "noise, 3 ms": lambda n, dt, rng: ou(n, dt, 3.0, rng),
    "noise, 10 ms": lambda n, dt, rng: ou(n, dt, 10.0, rng),
    "noise, 30 ms": lambda n, dt, rng: ou(n, dt, 30.0, rng),
    "noise, 3 and 90 ms": lambda n, dt, rng: 0.7 * (ou(n, dt, 3.0, rng) + ou(n, dt, 90.0, rng)),
    "noise with white recording noise": lambda n, dt, rng: ou(n, dt, 3.0, rng) + 0.05 * rng.normal(size=n),
    "noise of changing size": lambda n, dt, rng: (
        ou(n, dt, 3.0, rng) * (1 + 0.8 * np.sin(2 * np.pi * np.arange(n) * dt / 2000))
    ),
    "pink noise": lambda n, dt, rng: pink(n, rng),
    "clipped noise": lambda n, dt, rng: np.clip(ou(n, dt, 3.0, rng), -1.5, 1.2),
    "rectified noise": lambda n, dt, rng: np.maximum(ou(n, dt, 3.0, rng), 0),
    "noise held for 1 ms": lambda n, dt, rng: np.repeat(ou(n, 1.0, 3.0, rng), max(round(1 / dt), 1))[:n],
    "telegraph": lambda n, dt, rng: (-1.0) ** np.cumsum(rng.random(n) < dt / 10),
    "sine": lambda n, dt, rng: np.sin(2 * np.pi * np.arange(n) * dt / 100),
    "sine and noise": lambda n, dt, rng: np.sin(2 * np.pi * np.arange(n) * dt / 100) + 0.3 * ou(n, dt, 3.0, rng),
    "sawtooth with recording noise": lambda n, dt, rng: (
        3 * ((np.arange(n) * dt % 200) / 200 - 0.5) + 0.02 * rng.normal(size=n)
    ),
    "pulses": lambda n, dt, rng: pulses(n, dt),
    "pulses with recording noise": lambda n, dt, rng: pulses(n, dt) + 0.02 * rng.normal(size=n),
    "steps": steps,
    "steps with recording noise": lambda n, dt, rng: steps(n, dt, rng) + 0.02 * rng.normal(size=n),
    "steps and noise": lambda n, dt, rng: steps(n, dt, rng) + 0.4 * ou(n, dt, 3.0, rng),
}
SHAPES = {
    "rectangle of 1 ms": lambda t: (t < 1.0).astype(float),
    "decay of 1 ms": lambda t: np.exp(-t),
    "spike": lambda t: np.exp(-(((t - 0.4) / 0.3) ** 2)) - 0.15 * np.exp(-t / 1.5) * (t > 0.8),
}


def recordings(stimulus, seeds, seconds, dts=(0.1, 0.5, 1.0)):
    """Currents with the samples of their spikes: (dt, current, at)."""
    for dt in dts:
        for cell in CELLS.values():
            for mean, sd in DRIVES:
                for seed in range(seeds):
                    rng = np.random.default_rng([seed, round(10 * dt), round(sd), len(stimulus)])
                    current = mean + sd * STIMULI[stimulus](round(1e3 * seconds / dt), dt, rng)
                    at = fire(current, dt, cell, seed)
                    if len(at) >= 20:
                        yield dt, current, at


def leaked(current, at, dt, part, shape):
    """The current with an artefact from the sample after each spike on."""
    wave = SHAPES[shape](np.arange(0, 4, dt))
    add = np.zeros(len(current) + len(wave) + 1)
    for k in at:
        add[k + 1 : k + 1 + len(wave)] += wave
    return current + part * current.std() * add[: len(current)]


def possible(tau, dt, part, shape, spikes):
    """Chance that an observer finds the artefact who knows its waveform and the noise."""
    wave = np.concatenate([[0.0], SHAPES[shape](np.arange(0, 4, dt)), [0.0]])
    a = np.exp(-dt / tau)
    power = np.sum((wave[1:] - a * wave[:-1]) ** 2) / (1 - a * a)
    return 0.5 * (1 + erf((part * sqrt(power * spikes) - KNOWN) / sqrt(2)))


def honest(seeds, seconds):
    """Table of false alarms by stimulus."""
    total = Counter()
    say("| stimulus | recordings | accused |", "|---|---|---|")
    for stimulus in STIMULI:
        tried, accused = 0, 0
        for k, (dt, current, at) in enumerate(recordings(stimulus, seeds, seconds)):
            stamp = (0.0, 0.5, 1.0)[k % 3]
            times = np.minimum((at + stamp) * dt, len(current) * dt)
            tried, accused = tried + 1, accused + bool(find_leaks([Sweep(current, dt, spike_times=times)]))
        total.update(tried=tried, accused=accused)
        say(f"| {stimulus} | {tried} | {accused} |")
    say(f"| all | {total['tried']} | {total['accused']} |")


def leaking(seeds, seconds):
    """Table of leaks found by noise, step, waveform and size."""
    say(
        "",
        "| current | step (ms) | artefact | part of sd | spikes | found | possible |",
        "|---|---|---|---|---|---|---|",
    )
    for stimulus in ("noise, 1 ms", "noise, 3 ms", "noise, 10 ms", "steps with recording noise"):
        found, counts = defaultdict(list), defaultdict(list)
        for dt, current, at in recordings(stimulus, seeds, seconds, (0.1, 0.5)):
            for shape in SHAPES:
                for part in (0.05, 0.1, 0.2):
                    sweep = Sweep(leaked(current, at, dt, part, shape), dt, spike_times=(at + 0.5) * dt)
                    found[dt, shape, part].append(bool(find_leaks([sweep])))
                    counts[dt, shape, part].append(len(at))
        for (dt, shape, part), hits in found.items():
            spikes = counts[dt, shape, part]
            ideal = ""
            if stimulus.startswith("noise"):
                tau = float(stimulus.split()[1])
                ideal = f"{np.mean([possible(tau, dt, part, shape, n) for n in spikes]):.0%}"
            say(f"| {stimulus} | {dt} | {shape} | {part} | {np.median(spikes):.0f} | {np.mean(hits):.0%} | {ideal} |")


def say(*lines):
    """Lines of a table, at once."""
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30.0)
    chosen = parser.parse_args()
    honest(chosen.seeds, chosen.seconds)
    leaking(max(chosen.seeds // 2, 1), 2 * chosen.seconds)
