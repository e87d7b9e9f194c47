# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Batch and population
#
# A database is fitted like a cell, only that more can go wrong on the way: one file is broken, one night is too
# short. Here two recorded cells, twelve synthetic ones and a broken file are fitted with two models, the run is
# resumed, and the population is looked at. Under two minutes on two cores.

# %%
import shutil
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
from IPython.display import Image

import ephysfit as ef
from ephysfit import synthetic
from ephysfit.batch.collect import query
from ephysfit.batch.run_figures import draw_comparison, draw_parameters, draw_scores
from ephysfit.batch.summary_page import read_population, write_page
from ephysfit.models import find

data = next(p / "data" for p in [Path.cwd(), *Path.cwd().parents] if (p / "data" / "DRN164.nwb").exists())
home = Path(tempfile.mkdtemp()).resolve()
cells = home / "cells"
cells.mkdir()

# %% [markdown]
# ## A small database
# A folder of recordings, of any format that can be read. Two serotonin neurons as NWB, and seven ALIF and five
# LIF neurons whose parameters we draw: each gets one noise of 8 s to fit and three repeats of another to test,
# and is kept as NPZ.

# %%
for name in ("DRN158.nwb", "DRN164.nwb"):
    shutil.copy(data / name, cells / name)
for model, count in (("ALIF", 7), ("LIF", 5)):
    for k, neuron in enumerate(synthetic.draw(find(model), count, seed=5)):
        known = synthetic.recording(
            neuron, duration=8000.0, test_duration=8000.0, repeats=3, dt=0.5, rate=12.0, tau=8.0, seed=k
        )
        times = [s.spike_times for s in known]
        np.savez(
            cells / f"{model.lower()}{k}.npz",
            current_pA=np.stack([s.current for s in known]),
            dt_ms=0.5,
            spike_trial=np.repeat(np.arange(len(times)), [len(t) for t in times]),
            spike_times_ms=np.concatenate(times),
        )
(cells / "broken.npz").write_bytes(b"PK\x03\x04 nothing more")
print(f"{len(list(cells.iterdir()))} files")

# %% [markdown]
# ## Fit
# One call, one task for each cell and model, one process for each core. `ephysfit batch` does the same from a
# shell, and `ephysfit status` tells from another one how far it is.

# %%
table = ef.fit_many(cells, ["BankGIF", "GIF"], folder=home / "run", runs=50)
print(table["status"].value_counts().to_string())

# %% [markdown]
# The broken file stopped nobody. It is a row like the others, with the reason why it has no fit:

# %%
for row in table[table["status"] != "done"].itertuples():
    print(f"{row.cell}, {row.model}: {row.reason.replace(f'{home}/', '')}")

# %% [markdown]
# ## Resume
# Each task is one file in the folder of the run. Whoever asks again gets what is there, as long as the recording,
# the settings and the version are the same; after a power cut only what is missing is done. `retry_failed=True`
# does the failed ones again, once their files are mended. `progress` is called after each task, and here once: there
# is nothing to do.

# %%
calls = []
again = ef.fit_many(
    cells,
    ["BankGIF", "GIF"],
    folder=home / "run",
    runs=50,
    progress=lambda t: calls.append((t.earlier, len(t.outcomes))),
)
print("kept, done anew:", calls)
assert again.equals(table)

# %% [markdown]
# ## The table
# One row for each cell and model. Md* compares the model's noisy runs with the cell's repeats, and is 1 where the
# model is as like the cell as the cell is like itself. Γ/R divides by the reliability R of the cell's own repeats:
# where R is small, and three repeats tell it badly, it may be far above 1 and says little (column `reliability_4`).

# %%
done = table[table["status"] == "done"]
columns = ["cell", "model", "train_spikes", "repeats", "reliability_4", "md_star_8", "gamma_over_R_4"]
print(done[columns].round(2).to_string(index=False))

# %% [markdown]
# Scores and parameters are tables, too, and SQL asks them (DuckDB; from a shell `ephysfit query RUN SQL`). Which
# model is the better one, and what is the membrane time constant of recorded and of synthetic cells?

# %%
by_model = """
    select model, count(*) as cells, round(median(md_star_8), 3) as md, round(median(nll), 3) as nll
    from fits where status = 'done' group by model order by md desc
"""
print(query(home / "run", by_model).to_string(index=False))
constants = """
    select case when c.cell like 'DRN%' then 'recorded' else 'synthetic' end as cells,
           count(*) as n, round(median(c.value / g.value), 1) as tau_ms
    from parameters c join parameters g on c.cell = g.cell and c.model = g.model
    where c.model = 'GIF' and c.name = 'C' and g.name = 'g' group by all order by all
"""
print(query(home / "run", constants).to_string(index=False))

# %% [markdown]
# Such neurons have a membrane slower than the two recorded cells get here: what predicts spikes best need not be the
# membrane's own time constant. `ef.intervals(fit, train)` says how well the data fix a parameter.

# %% [markdown]
# ## The population
# Scores: each dot is a cell, the bar is the median, the box the middle half.

# %%
found = read_population(home / "run")


def show(figure):
    held = BytesIO()
    figure.savefig(held, format="png", dpi=100)
    return Image(held.getvalue())


show(draw_scores(found))

# %% [markdown]
# Models, cell by cell: a line is a cell, its colour the model that did better on it.

# %%
show(draw_comparison(found))

# %% [markdown]
# Parameters of the cells as one model sees them, those that vary most:

# %%
show(draw_parameters(found, "GIF"))

# %% [markdown]
# ## Keep
# The page of the run holds these figures, groups of cells, cells that stand apart and those without a fit. It is
# one HTML file; `ephysfit summarize RUN` writes it.

# %%
page = write_page(home / "run")
print(f"{page.name}: {page.stat().st_size / 1e6:.1f} MB, {len(found.done)} fits, {len(found.failed)} without a fit")
