"""Scores of simulated spike trains against recorded repeats, written apart from ephysfit (numpy only): a reference.

Formulas
  Gamma(d, m; D) = (N_coinc - 2 nu D N_d) / ((N_d + N_m) / 2) / (1 - 2 nu D),  nu = N_m / T
      N_coinc = recorded spikes that have at least one model spike within +-D (closed window).
      Kistler, Gerstner & van Hemmen 1997; Jolivet et al. 2008 (eq. 2).  nu is the rate of the *second* train.
  R = mean of Gamma(d_i, d_j) over all ordered pairs i != j of recorded repeats (intrinsic reliability).
  gamma_over_R = mean over all (repeat, run) pairs of Gamma, divided by R   (QSNMC / INCF 2009 score).
  Md* = 2 n_dm / (n_dd + n_mm)    Naud, Gerhard, Mensi & Gerstner 2011
      n_xy = mean over pairs of trains of the number of spike pairs with |t_x - t_y| <= D (Kistler window);
      n_dd over i != j (unbiased). n_mm over i != j too when `unbiased_mm` (default); the GIF toolboxes keep
      the i == j terms of the model, which adds N_m / n_runs to n_mm (0.2 % of the self term at 500 runs).
      With ONE deterministic run n_mm is its own count (self terms included): Md* of a single train.
  ev(a, b) = [var a + var b - var(a - b)] / [var a + var b]      (Teeter et al. 2018)
      a, b: trains convolved with a Gaussian of sigma (unit area, cut at 5 sigma, 1-ms bins), scored on T.
  ev_ratio = mean_i ev(d_i, P_m) / mean_i ev(d_i, P_d)
      d_i = one recorded repeat, P_d = mean of the recorded repeats (contains d_i), P_m = mean of the model runs.
      Identical to the GLIF / Block-ALIF score when the model has one deterministic run.
  ev_run_ratio = mean_{i,k} ev(d_i, m_k) / mean_i ev(d_i, P_d): the same for single runs m_k of a noisy model.
"""

from __future__ import annotations

import numpy as np

EPS = 1e-6  # ms; keeps |dt| == D inside the window despite float grids


def cut(trains, start, stop):
    shift = start if np.isfinite(start) else 0.0
    return [np.sort(t[(t >= start) & (t < stop)]) - shift for t in map(np.asarray, trains)]


def gamma(data, model, T, D):
    """Coincidence factor of one recorded and one model train."""
    nd, nm = len(data), len(model)
    if nd + nm == 0:
        return np.nan
    if nd == 0 or nm == 0:
        return 0.0
    hits = np.searchsorted(model, data + D + EPS) > np.searchsorted(model, data - D - EPS)
    nu = nm / T
    return (hits.sum() - 2 * nu * D * nd) / (0.5 * (nd + nm)) / (1 - 2 * nu * D)


def mean_gamma(data, model, T, D):
    return float(np.nanmean([gamma(d, m, T, D) for d in data for m in model]))


def reliability(data, T, D):
    n = len(data)
    return float(np.nanmean([gamma(data[i], data[j], T, D) for i in range(n) for j in range(n) if i != j]))


def _pairs(a, pool, D):
    """Spike pairs of train a with the sorted pool of all trains, |dt| <= D."""
    return (np.searchsorted(pool, a + D + EPS) - np.searchsorted(pool, a - D - EPS)).sum()


def md_star(data, model, D, unbiased_mm=True):
    nd, nm = len(data), len(model)
    pd_, pm = np.sort(np.concatenate(data)), np.sort(np.concatenate(model))
    dm = sum(_pairs(d, pm, D) for d in data) / (nd * nm)
    self_d = sum(_pairs(d, d, D) for d in data)
    dd = (sum(_pairs(d, pd_, D) for d in data) - self_d) / (nd * (nd - 1))
    mm = sum(_pairs(m, pm, D) for m in model)
    unbiased = unbiased_mm and nm > 1
    mm = (mm - sum(_pairs(m, m, D) for m in model)) / (nm * (nm - 1)) if unbiased else mm / nm**2
    return float(2 * dm / (dd + mm)) if dd + mm > 0 else np.nan


def smooth(trains, T, sigma, bin_ms=1.0):
    n = round(T / bin_ms)
    x = np.arange(-int(5 * sigma / bin_ms), int(5 * sigma / bin_ms) + 1) * bin_ms
    k = np.exp(-0.5 * (x / sigma) ** 2)
    k /= k.sum() * bin_ms
    out = np.empty((len(trains), n))
    for i, t in enumerate(trains):
        h = np.bincount(np.clip((t / bin_ms).astype(int), 0, n - 1), minlength=n).astype(float)
        out[i] = np.convolve(h, k, mode="same") * 1e3  # spikes per second
    return out


def _ev(a, b):
    s = a.var(-1) + b.var(-1)
    return np.where(s > 0, (s - (a - b).var(-1)) / np.where(s > 0, s, 1), 0.0)


def explained_variance(data, model, T, sigma, max_runs=100):
    d, m = smooth(data, T, sigma), smooth(model, T, sigma)
    p_d, p_m = d.mean(0), m.mean(0)
    own = _ev(d, p_d[None]).mean()
    return {
        "ev_ratio": float(_ev(d, p_m[None]).mean() / own),
        "ev_run_ratio": float(np.mean([_ev(d, r[None]).mean() for r in m[:max_runs]]) / own),
        "ev_psth": float(_ev(p_d, p_m)),
        "ev_data": float(own),
    }


def score(data, model, T, deltas=(2, 4, 8), sigmas=(10, 15)):
    """All scores of `model` (list of trains) against `data` (list of repeats), both on [0, T)."""
    out = {
        "n_repeats": len(data),
        "n_runs": len(model),
        "rate_data": float(np.mean([len(t) for t in data]) / T * 1e3),
        "rate_model": float(np.mean([len(t) for t in model]) / T * 1e3),
    }
    for D in deltas:
        r, g = reliability(data, T, D), mean_gamma(data, model, T, D)
        out.update({f"R{D}": r, f"gamma{D}": g, f"gamma{D}_over_R": g / r, f"md{D}": md_star(data, model, D)})
    for s in sigmas:
        e = explained_variance(data, model, T, s)
        out.update(
            {
                f"ev{s}": e["ev_ratio"],
                f"ev{s}_run": e["ev_run_ratio"],
                f"ev{s}_psth": e["ev_psth"],
                f"ev{s}_data": e["ev_data"],
            }
        )
    return out
