"""An estimator as scikit-learn knows them, so that its cross-validation and searches run over sweeps and models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from ephysfit.data.recording import Recording
from ephysfit.data.sweep import Sweep
from ephysfit.errors import FitError, near
from ephysfit.fitting.ensemble import bounded_loss
from ephysfit.fitting.fit import fit
from ephysfit.fitting.fit_result import Fit
from ephysfit.fitting.stage import Problem
from ephysfit.metrics.coincidence import gamma
from ephysfit.neuron.declare import Neuron

#: window of the coincidences that score a neuron without a hazard, ms
WINDOW = 8.0


class NeuronEstimator:
    """Fits a neuron to sweeps, predicts spikes of others, and scores itself, as scikit-learn's estimators do.

    `cross_val_score` over sweeps and `GridSearchCV` over models run on it; scikit-learn itself is not needed.

    Parameters
    ----------
    model : str or type[Neuron]
    objective, effort, dt, seed
        As of `ephysfit.fit`.

    Attributes
    ----------
    fit_ : Fit
        The fit, after `fit`.

    Examples
    --------
    >>> import ephysfit as ef
    >>> from ephysfit.models import LIF
    >>> cell = LIF(C=100.0, g=5.0, E_L=-70.0, theta=-52.0, V_reset=-62.0, t_ref=2.0, delta=1.0)
    >>> data = ef.synthetic.recording(cell, duration=1500.0, repeats=2, dt=0.5)
    >>> found = NeuronEstimator("LIF").fit(data.sweeps[:1])
    >>> found.score(data.sweeps[1:]) > 0, len(found.predict(data.sweeps[1:]))
    (True, 2)
    """

    def __init__(
        self,
        model: str | type[Neuron] = "auto",
        *,
        objective: str | None = None,
        effort: str = "fast",
        dt: float | None = None,
        seed: int = 0,
    ) -> None:
        self.model, self.objective, self.effort, self.dt, self.seed = model, objective, effort, dt, seed

    #: the arguments of the constructor
    _names = ("model", "objective", "effort", "dt", "seed")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name; `deep` is scikit-learn's, and there is nothing below."""
        return {name: getattr(self, name) for name in self._names}

    def set_params(self, **settings: Any) -> Self:
        """Change settings.

        Raises
        ------
        FitError
            If there is no such setting.
        """
        for name, value in settings.items():
            if name not in self._names:
                raise FitError(f"NeuronEstimator has no setting {name!r}; {near(name, self._names)}")
            setattr(self, name, value)
        return self

    def fit(self, X: Recording | Sequence[Sweep], y: Any = None) -> Self:
        """Fit to sweeps of one cell; `y` is ignored, because sweeps hold their spikes.

        Parameters
        ----------
        X : Recording or sequence of Sweep
        """
        settings = {k: v for k, v in self.get_params().items() if k != "model"}
        self.fit_: Fit = fit(_join(X), self.model, progress=False, **settings)
        return self

    def predict(self, X: Recording | Sequence[Sweep]) -> list[np.ndarray]:
        """Spike times of the noise-free run on every sweep, ms."""
        found = self._fitted()
        out = []
        for sweep in _join(X).sweeps:
            run = found.simulate(_join([sweep]), runs=1)
            out.append(run.companions.get("causal", run).spike_times[0][0])
        return out

    def score(self, X: Recording | Sequence[Sweep], y: Any = None) -> float:
        """How well sweeps are predicted; higher is better.

        Of a neuron with a hazard the gain in log-likelihood over a constant rate, nats per spike, all earlier spikes
        replayed and no bin's rate taken as more certain than the data allow; of others the mean coincidence factor of
        the run with the recorded train, within 8 ms.
        """
        found, recording = self._fitted(), _join(X)
        if not type(found.neuron).stochastic():
            pairs = zip(recording.sweeps, self.predict(X), strict=True)
            return float(np.mean([gamma([s.spike_times], [t], s.duration, window=WINDOW) for s, t in pairs]))
        sweeps = Problem(recording, type(found.neuron), found.dt).everything
        count, bins = sum(s.n_spikes for s in sweeps), sum(int(s.use.sum()) for s in sweeps)
        if not count:
            raise FitError("these sweeps hold no spike, so that there is no log-likelihood per spike; give others")
        constant = 1.0 - np.log(count / (bins * found.dt)) - np.log(found.dt)
        return float(constant - bounded_loss(found.neuron, sweeps, found.dt))

    def _fitted(self) -> Fit:
        if not hasattr(self, "fit_"):
            raise FitError("this NeuronEstimator is not fitted yet; call fit(sweeps) first")
        return self.fit_

    def __repr__(self) -> str:
        return f"NeuronEstimator({', '.join(f'{k}={v!r}' for k, v in self.get_params().items())})"

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags  # asked for by scikit-learn alone, which is loaded then

        inputs = InputTags(two_d_array=False)
        return Tags(estimator_type=None, target_tags=TargetTags(required=False), input_tags=inputs)


def _join(X: Recording | Sequence[Sweep]) -> Recording:
    if isinstance(X, Recording):
        return X
    sweeps = tuple(X)
    if not sweeps or not all(isinstance(s, Sweep) for s in sweeps):
        raise FitError("give a Recording, or a list of its sweeps: cross_val_score(estimator, list(recording))")
    return Recording(tuple(replace(s, name=s.name or str(k)) for k, s in enumerate(sweeps)))
