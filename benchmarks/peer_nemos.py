"""Poisson GLMs of nemos for a design and a list of penalties. Run by `glm.py --nemos PYTHON`.

python benchmarks/peer_nemos.py DESIGN.npz FOUND.npz      # in an environment that has nemos

DESIGN holds x and y (bins to fit), test (bins to predict), cut (where the last part of x begins) and penalties. FOUND
holds for every penalty what is expected of the last part by a fit to the rest, what is expected of the test by a fit to
all, and the CPU seconds of both fits, the second time. In double precision, on one thread.
"""

from __future__ import annotations

import os
import sys
import time

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_ENABLE_X64"] = "1"

import nemos
import numpy as np

#: most steps and tolerance of BFGS
STEPS, TOLERANCE = 2000, 1e-6


def predict(x: np.ndarray, y: np.ndarray, test: np.ndarray, penalty: float) -> tuple[np.ndarray, float]:
    """Expected counts of the test bins, and CPU seconds of the fit, the second time."""
    settings = {"regularizer": "Ridge", "regularizer_strength": penalty} if penalty else {}
    for _ in range(2):
        model = nemos.glm.GLM(solver_name="BFGS", solver_kwargs={"maxiter": STEPS, "tol": TOLERANCE}, **settings)
        begun = time.process_time()
        model.fit(x, y)
        spent = time.process_time() - begun
    return np.asarray(model.predict(test)), spent


def main(design: str, found: str) -> None:
    given = np.load(design)
    x, y, test, cut = given["x"], given["y"], given["test"], int(given["cut"])
    parts, wholes, seconds = [], [], []
    for penalty in given["penalties"].tolist():
        part, first = predict(x[:cut], y[:cut], x[cut:], penalty)
        whole, second = predict(x, y, test, penalty)
        parts.append(part)
        wholes.append(whole)
        seconds.append((first, second))
    np.savez(found, part=np.array(parts), whole=np.array(wholes), seconds=np.array(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
