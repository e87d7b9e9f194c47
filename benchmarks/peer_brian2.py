"""LIF by Brian2's C++ standalone mode, own input, float64; built first, then run. Run by `engines.py --peers`.

python benchmarks/peer_brian2.py brian2 ROWS STEPS    # in an environment that has brian2 and a C++ compiler
"""

from __future__ import annotations

import resource
import tempfile

import brian2
import numpy as np
from brian2 import ms, mV
from peer_cell import CAPACITANCE, DT, LEAK, THRESHOLD, asked, current, tell, timed


def children() -> float:
    """Seconds of the processor that finished child processes took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(peer: str, rows: int, steps: int) -> None:
    """Print spikes and the time of a run, start of the process included."""
    with tempfile.TemporaryDirectory() as folder:
        brian2.set_device("cpp_standalone", directory=folder, build_on_run=False)
        brian2.defaultclock.dt = DT * ms
        pull = brian2.TimedArray(current(rows, steps).T.astype(np.float64) / LEAK * mV, dt=DT * ms)
        group = brian2.NeuronGroup(
            rows, "dv/dt = (pull(t, i) - v) / tau : volt", threshold="v >= theta", reset="v = 0*mV", method="exact",
            namespace={"pull": pull, "tau": CAPACITANCE / LEAK * ms, "theta": THRESHOLD * mV},
        )  # fmt: skip
        spikes = brian2.SpikeMonitor(group)
        brian2.run(steps * DT * ms)
        brian2.device.build(directory=folder, compile=True, run=False)
        spent = timed(lambda: brian2.device.run(directory=folder, with_output=False, run_args=[]), children)
        tell(rows, steps, int(spikes.num_spikes), spent)


if __name__ == "__main__":
    main(*asked())
