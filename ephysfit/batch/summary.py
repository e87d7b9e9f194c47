"""The results of a run, for its page and its figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ephysfit.batch.clusters import Grouping
from ephysfit.batch.store import DONE

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class Population:
    """The results of a run over its cells.

    Attributes
    ----------
    folder : Path
    fits, parameters : DataFrame
        Tables of the run.
    groupings : dict of str to Grouping
        Clusters of cells in the space of the parameters, by fitted neuron.
    odd : DataFrame
        Outliers: cell, model, what, value, z.
    """

    folder: Path
    fits: DataFrame
    parameters: DataFrame
    groupings: dict[str, Grouping]
    odd: DataFrame

    @property
    def done(self) -> DataFrame:
        """Rows of the tasks that have a fit."""
        return self.fits[self.fits["status"] == DONE]

    @property
    def failed(self) -> DataFrame:
        """Rows of the tasks without a fit, with the reason."""
        return self.fits[self.fits["status"] != DONE]

    @property
    def models(self) -> list[str]:
        """Models in the order of their median Md* at ±8 ms, best first."""
        by = self.done.groupby("model")["md_star_8"].median().sort_values(ascending=False, na_position="last")
        return list(by.index)
