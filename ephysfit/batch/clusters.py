"""Clusters and outliers of cells in the space of their parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import cdist

from ephysfit.arrays import Array, Float64, Int64, Integers

if TYPE_CHECKING:
    from pandas import DataFrame

#: fewer cells than this are not grouped
ENOUGH = 12
#: largest number of groups that is tried
MOST = 6
#: a split must be at least this clear (mean silhouette)
CLEAR = 0.25
#: robust z above which a cell counts as an outlier, and the most outliers that are listed
FAR, LISTED = 5.0, 20


@dataclass(frozen=True, eq=False)
class Grouping:
    """Cells fitted with one neuron, on two principal components, with the group of each cell.

    Attributes
    ----------
    cells : tuple of str
    place : ndarray, (cell, 2)
        First two principal components of the standardised parameters.
    share : (float, float)
        Fraction of the variance that each component explains.
    group : ndarray of int, (cell,)
        All 0 where no split is clear.
    silhouette : float
        Mean silhouette of the split; NaN where there is none.
    """

    cells: tuple[str, ...]
    place: Float64[Array, "cell component"]
    share: tuple[float, float]
    group: Int64[Integers, " cell"]
    silhouette: float


def robust_z(values: Float64[Array, "cell ..."]) -> Float64[Array, "cell ..."]:
    """Distance from the median in robust standard deviations (1.4826 median absolute deviations), column by column.

    Parameters
    ----------
    values : (cell,) or (cell, parameter) array

    Returns
    -------
    array of the same shape

    Examples
    --------
    >>> robust_z(np.array([1.0, 2.0, 3.0, 4.0, 100.0])).round(1).tolist()
    [-1.3, -0.7, 0.0, 0.7, 65.4]
    """
    middle = np.nanmedian(values, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(values - middle), axis=0)
    return (values - middle) / np.where(spread > 0, spread, np.inf)


def group_cells(parameters: DataFrame) -> Grouping | None:
    """Group the cells of one fitted neuron by k-means on robustly standardised parameters.

    The number of groups is the one of highest mean silhouette.

    Parameters
    ----------
    parameters : DataFrame
        Columns cell, name, value of one neuron.

    Returns
    -------
    Grouping or None
        None for fewer than `ENOUGH` cells, or where fewer than two parameters vary.

    References
    ----------
    Rousseeuw 1987, J. Comput. Appl. Math. 20, 53-65.
    """
    wide = parameters.pivot_table(index="cell", columns="name", values="value")
    z = np.clip(robust_z(wide.to_numpy(dtype=np.float64)), -FAR, FAR)
    z = z[:, np.std(z, axis=0) > 0]
    if len(z) < ENOUGH or z.shape[1] < 2:
        return None
    centred = z - z.mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    labels, clear = _find_clearest_split(centred)
    share = s[:2] ** 2 / (s**2).sum()
    return Grouping(tuple(wide.index), u[:, :2] * s[:2], (float(share[0]), float(share[1])), labels, clear)


def _find_clearest_split(
    points: Float64[Array, "cell dimension"],
) -> tuple[Int64[Integers, " cell"], float]:
    """Labels and silhouette of the clearest k-means split; all labels 0 and NaN where no split is clear."""
    best, clear = np.zeros(len(points), dtype=np.int64), float("nan")
    for k in range(2, min(MOST, len(points) // 4) + 1):
        _, labels = kmeans2(points, k, minit="++", rng=np.random.default_rng(0), missing="warn")
        if len(np.unique(labels)) < k:
            continue
        value = silhouette(points, labels)
        if value >= CLEAR and not value <= clear:
            best, clear = labels.astype(np.int64), value
    return best, clear


def silhouette(points: Float64[Array, "point dimension"], labels: Int64[Integers, " point"]) -> float:
    """Mean silhouette of a grouping: near 1 for groups that are far apart, near 0 for overlapping ones.

    Parameters
    ----------
    points : (point, dimension) array
    labels : (point,) array of int

    References
    ----------
    Rousseeuw 1987, J. Comput. Appl. Math. 20, 53-65.

    Examples
    --------
    >>> points = np.array([[0.0], [0.1], [5.0], [5.1]])
    >>> round(silhouette(points, np.array([0, 0, 1, 1])), 2)
    0.98
    """
    apart = cdist(points, points)
    member = labels[None, :] == np.unique(labels)[:, None]
    size = member.sum(1)
    to = apart @ member.T / size
    own = np.argmax(member, axis=0)
    rows = np.arange(len(points))
    alone = size[own] == 1
    inner = to[rows, own] * size[own] / np.maximum(size[own] - 1, 1)
    to[rows, own] = np.inf
    outer = to.min(1)
    with np.errstate(invalid="ignore"):
        each = np.where(alone, 0.0, (outer - inner) / np.maximum(outer, inner))
    return float(np.nanmean(each))


def find_outliers(fits: DataFrame, parameters: DataFrame) -> DataFrame:
    """List cells whose score or parameter lies far from that of the other cells of the same neuron, farthest first."""
    rows = []
    for model, part in fits.groupby("model"):
        for name in ("md_star_8", "rate_error", "nll"):
            rows += _find_far_cells(part["cell"], part[name].to_numpy(dtype=np.float64), str(model), name)
    for (model, name), part in parameters.groupby(["model", "name"]):
        rows += _find_far_cells(part["cell"], part["value"].to_numpy(dtype=np.float64), str(model), str(name))
    columns = ["cell", "model", "what", "value", "z"]
    found = pd.DataFrame(rows, columns=columns)
    return found.reindex(found["z"].abs().sort_values(ascending=False).index).head(LISTED)


def _find_far_cells(
    cells: DataFrame, values: Float64[Array, " cell"], model: str, what: str
) -> list[tuple[str, str, str, float, float]]:
    if np.isfinite(values).sum() < ENOUGH:
        return []
    z = robust_z(values)
    return [(c, model, what, v, d) for c, v, d in zip(cells, values, z, strict=True) if abs(d) > FAR]
