"""ALIF by jax.lax.scan, own input, dense dL/ds: one size, timed in this process. Run by `engines.py --peers`.

python benchmarks/peer_jax.py ROWS STEPS      # in an environment that has jax; prints forward and both, ns
"""

from __future__ import annotations

import os
import sys
import time

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp
import numpy as np

REPEATS = 3


@jax.custom_vjp
def spike(u):
    """1 where the margin is reached, with a triangle of half width 20 mV as its derivative."""
    return (u >= 0).astype(u.dtype)


spike.defvjp(
    lambda u: (spike(u), u),
    lambda u, g: (g * jnp.maximum(1 - jnp.abs(u) / 20, 0) / 20,),
)


def loss(theta, current, weights):
    """Weighted spikes of rows with a hard reset, 20 refractory steps and an adaptive threshold."""

    def step(state, now):
        v, a, wait = state
        given, weight = now
        u = jnp.where(wait > 0, v, 0.995 * v + 0.001 * given)
        s = spike(u - theta - a) * (wait <= 0)
        v = u * (1 - s)
        a = 0.999 * a + 2.0 * s
        wait = jnp.where(s > 0, 20, jnp.maximum(wait - 1, 0))
        return (v, a, wait), jnp.sum(weight * s)

    rows = current.shape[1]
    start = (jnp.zeros(rows), jnp.zeros(rows), jnp.zeros(rows, jnp.int32))
    return jnp.sum(jax.lax.scan(step, start, (current, weights))[1])


def timed(run) -> float:
    """Median CPU seconds of the process, after a first call that compiles."""
    jax.block_until_ready(run())
    spent = []
    for _ in range(REPEATS):
        began = time.process_time()
        jax.block_until_ready(run())
        spent.append(time.process_time() - began)
    return float(np.median(spent))


def main(rows: int, steps: int) -> None:
    """Print forward and forward + gradient, ns per neuron-step."""
    rng = np.random.default_rng(0)
    current = jnp.asarray(rng.normal(100, 250, (steps, rows)).astype(np.float32))
    weights = jnp.asarray(rng.normal(size=(steps, rows)).astype(np.float32))
    theta = jnp.full(rows, 15.0)
    ahead, both = jax.jit(loss), jax.jit(jax.value_and_grad(loss))
    unit = 1e9 / (rows * steps)
    print(timed(lambda: ahead(theta, current, weights)) * unit, timed(lambda: both(theta, current, weights)) * unit)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
