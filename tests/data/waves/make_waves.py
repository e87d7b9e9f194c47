"""Make the Igor waves of the tests anew: ``pip install igorwriter``, then ``python tests/data/waves/make_waves.py``.

A cell of two sweeps of 200 ms at 10 kHz: voltage (V) with a spike at 50 and 150 ms in the first, current (A) a step.
"""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
t = np.arange(2000) * 0.1
spikes = sum(90 * np.exp(-(((t - at) / 0.6) ** 2)) for at in (50.0, 150.0))
step = ((t >= 20) & (t < 120)).astype(float)
VOLTAGE = 1e-3 * np.stack([-65 + spikes, -65 + 0 * t], axis=1)
CURRENT = 1e-12 * np.stack([100 * step, 50 * step], axis=1)


def main() -> None:
    from igorwriter import IgorWave  # no package of the tests: needed only here

    for name, data, unit in (("ad0_cell", VOLTAGE, "V"), ("ad1_cell", CURRENT, "A"), ("ad2_cell", CURRENT, "")):
        wave = IgorWave(data.astype(np.float32), name=name)
        wave.set_dimscale("x", 0.0, 1e-4, "s")
        wave.set_datascale(unit)
        wave.save(str(HERE / f"{name}.ibw"))


if __name__ == "__main__":
    main()
