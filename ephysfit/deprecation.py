"""Names of earlier versions: they work for one version more, and a warning says what to write instead.

Python shows a `DeprecationWarning` once for each line that causes it, in scripts, notebooks and tests; in installed
packages only where asked for (``python -W default``).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

#: public name of ephysfit: its name now, and the version it has it since
RENAMED = {
    "population": ("population_prior", "0.2.0"),
    "write": ("write_nwb", "0.2.0"),
    "compensate": ("compensate_electrode", "0.2.0"),
}
#: modules by their paths of version 0.1, and where they are since 0.2.0
MOVED = {
    "ephysfit.batch.groups": "ephysfit.batch.clusters",
    "ephysfit.batch.many": "ephysfit.batch.fit_many",
    "ephysfit.batch.pictures": "ephysfit.batch.run_figures",
    "ephysfit.batch.population": "ephysfit.batch.summary_page",
    "ephysfit.batch.source": "ephysfit.batch.cell_files",
    "ephysfit.batch.work": "ephysfit.batch.fit_task",
    "ephysfit.cli.sweeps": "ephysfit.cli.sweep_options",
    "ephysfit.data.admission": "ephysfit.data.preprocess",
    "ephysfit.data.building": "ephysfit.data.assemble",
    "ephysfit.data.cells": "ephysfit.data.cell_names",
    "ephysfit.data.contract": "ephysfit.data.reader_tests",
    "ephysfit.data.formats": "ephysfit.data.registry",
    "ephysfit.data.holding": "ephysfit.data.holding_current",
    "ephysfit.data.isolation": "ephysfit.data.subprocess_read",
    "ephysfit.data.kinds": "ephysfit.data.stimulus_kinds",
    "ephysfit.data.links": "ephysfit.data.link_policy",
    "ephysfit.data.objects": "ephysfit.data.in_memory",
    "ephysfit.data.outward": "ephysfit.data.external_links",
    "ephysfit.data.probing": "ephysfit.data.hdf5_probe",
    "ephysfit.data.pulses": "ephysfit.data.seal_pulses",
    "ephysfit.data.sanity": "ephysfit.data.quality",
    "ephysfit.data.selection": "ephysfit.data.sweep_selection",
    "ephysfit.data.shapes": "ephysfit.data.time_axis",
    "ephysfit.data.splitting": "ephysfit.data.split",
    "ephysfit.data.stimuli": "ephysfit.data.repeats",
    "ephysfit.data.text": "ephysfit.data.text_encoding",
    "ephysfit.data.writing": "ephysfit.data.nwb_write",
    "ephysfit.explorer.figures": "ephysfit.explorer.traces",
    "ephysfit.explorer.knobs": "ephysfit.explorer.sliders",
    "ephysfit.explorer.page": "ephysfit.explorer.browser_page",
    "ephysfit.explorer.scene": "ephysfit.explorer.stimulus",
    "ephysfit.explorer.shelf": "ephysfit.explorer.library",
    "ephysfit.explorer.tables": "ephysfit.explorer.comparison",
    "ephysfit.explorer.worker": "ephysfit.explorer.fit_worker",
    "ephysfit.fitting.arena": "ephysfit.fitting.free_run.evaluation",
    "ephysfit.fitting.bootstrap": "ephysfit.fitting.uncertainty.bootstrap",
    "ephysfit.fitting.criteria": "ephysfit.fitting.uncertainty.criteria",
    "ephysfit.fitting.diagnosis": "ephysfit.fitting.drift_check",
    "ephysfit.fitting.electrode": "ephysfit.data.electrode",
    "ephysfit.fitting.free_runs": "ephysfit.fitting.free_run.free_runs",
    "ephysfit.fitting.gradient": "ephysfit.fitting.stages.gradient",
    "ephysfit.fitting.identify": "ephysfit.fitting.uncertainty.identifiability",
    "ephysfit.fitting.identity": "ephysfit.fitting.recording_identity",
    "ephysfit.fitting.ladder": "ephysfit.fitting.warm_starts",
    "ephysfit.fitting.likelihood": "ephysfit.fitting.stages.likelihood",
    "ephysfit.fitting.losses": "ephysfit.fitting.free_run.losses",
    "ephysfit.fitting.noisy": "ephysfit.fitting.stages.noisy_gradient",
    "ephysfit.fitting.passive": "ephysfit.fitting.stages.passive",
    "ephysfit.fitting.population": "ephysfit.fitting.population_prior",
    "ephysfit.fitting.profile": "ephysfit.fitting.uncertainty.profile",
    "ephysfit.fitting.pull": "ephysfit.fitting.free_run.spike_gradients",
    "ephysfit.fitting.readout": "ephysfit.fitting.stages.causal_readout",
    "ephysfit.fitting.refractory": "ephysfit.fitting.stages.refractory_period",
    "ephysfit.fitting.saved": "ephysfit.fitting.saved_fit",
    "ephysfit.fitting.scales": "ephysfit.fitting.free_run.likelihood_axes",
    "ephysfit.fitting.search": "ephysfit.fitting.stages.search",
    "ephysfit.fitting.selection": "ephysfit.fitting.model_selection",
    "ephysfit.fitting.softness": "ephysfit.fitting.stages.softness",
    "ephysfit.fitting.surface": "ephysfit.fitting.uncertainty.likelihood_surface",
    "ephysfit.fitting.surrogates": "ephysfit.fitting.free_run.surrogates",
    "ephysfit.fitting.voltage": "ephysfit.fitting.voltage_likelihood",
    "ephysfit.fitting.wrappers": "ephysfit.fitting.stages.wrappers",
    "ephysfit.fitting.write_back": "ephysfit.reports.export.nwb",
    "ephysfit.keeping": "ephysfit.disk_cache",
    "ephysfit.metrics.bench": "ephysfit.metrics.jackknife",
    "ephysfit.metrics.cautions": "ephysfit.metrics.score_warnings",
    "ephysfit.metrics.result": "ephysfit.metrics.score_result",
    "ephysfit.metrics.rows": "ephysfit.metrics.score_rows",
    "ephysfit.metrics.stimuli": "ephysfit.metrics.matching",
    "ephysfit.metrics.tally": "ephysfit.metrics.pair_counts",
    "ephysfit.models.asc": "ephysfit.models.afterspike",
    "ephysfit.models.best": "ephysfit.models.aigif",
    "ephysfit.models.bounded": "ephysfit.models.saturation",
    "ephysfit.models.finding": "ephysfit.models.lookup",
    "ephysfit.models.membrane": "ephysfit.models.common",
    "ephysfit.models.nesting": "ephysfit.models.nested",
    "ephysfit.models.response": "ephysfit.models.small_signal",
    "ephysfit.neuron.content": "ephysfit.neuron.fingerprint",
    "ephysfit.neuron.evaluate": "ephysfit.neuron.formula",
    "ephysfit.neuron.free": "ephysfit.neuron.free_parameters",
    "ephysfit.neuron.kept": "ephysfit.neuron.declaration_cache",
    "ephysfit.neuron.limits": "ephysfit.neuron.bounds",
    "ephysfit.neuron.reading": "ephysfit.neuron.declaration_errors",
    "ephysfit.neuron.special": "ephysfit.neuron.symbolic_functions",
    "ephysfit.reports.export.reading": "ephysfit.reports.export.exported",
    "ephysfit.reports.figures.response": "ephysfit.reports.figures.current_response",
    "ephysfit.reports.figures.sweeps": "ephysfit.reports.figures.recorded_sweeps",
    "ephysfit.reports.misses": "ephysfit.reports.missed_spikes",
    "ephysfit.simulation.ahead": "ephysfit.kernels.background_build",
    "ephysfit.simulation.blocks": "ephysfit.simulation.engines.blocks",
    "ephysfit.simulation.cache": "ephysfit.kernels.kernel_files",
    "ephysfit.simulation.choosing": "ephysfit.simulation.engine_choice",
    "ephysfit.simulation.chunks": "ephysfit.simulation.engines.long_record",
    "ephysfit.simulation.compiled": "ephysfit.simulation.engines.compiled",
    "ephysfit.simulation.decoupled": "ephysfit.simulation.engines.decoupled",
    "ephysfit.simulation.generate": "ephysfit.kernels.generate",
    "ephysfit.simulation.kernel_run": "ephysfit.simulation.engines.kernel_call",
    "ephysfit.simulation.layout": "ephysfit.kernels.tiles",
    "ephysfit.simulation.linear": "ephysfit.simulation.engines.affine_blocks",
    "ephysfit.simulation.pieces": "ephysfit.kernels.step_algebra",
    "ephysfit.simulation.plain": "ephysfit.simulation.reference",
    "ephysfit.simulation.pmbc": "ephysfit.simulation.engines.pmbc",
    "ephysfit.simulation.prepare": "ephysfit.simulation.warm_up",
    "ephysfit.simulation.printing": "ephysfit.kernels.expressions",
    "ephysfit.simulation.rows": "ephysfit.kernels.tile_memory",
    "ephysfit.simulation.scalars": "ephysfit.kernels.scalar_math",
    "ephysfit.simulation.sequential": "ephysfit.simulation.engines.sequential",
    "ephysfit.simulation.soft": "ephysfit.simulation.engines.soft_reset",
    "ephysfit.simulation.speculate": "ephysfit.simulation.engines.speculate",
    "ephysfit.simulation.tangents": "ephysfit.simulation.gauss_newton",
    "ephysfit.simulation.templates": "ephysfit.kernels.templates",
    "ephysfit.simulation.threads": "ephysfit.kernels.threads",
    "ephysfit.simulation.variant": "ephysfit.kernels.variant",
    "ephysfit.simulation.vectormath": "ephysfit.kernels.simd_math",
    "ephysfit.simulation.vectors": "ephysfit.kernels.simd",
    "ephysfit.simulation.weaving": "ephysfit.kernels.writer",
    "ephysfit.simulation.worker": "ephysfit.kernels.compile_worker",
}
#: names that moved modules had in 0.1 and that notebooks and scripts took from them: what they are called now
MOVED_NAMES = {"ephysfit.explorer.library": {"Shelf": "Library"}}


def deprecated(old: str, new: str, since: str) -> None:
    """Warn that a name is an old one, at the line outside ephysfit that used it.

    Parameters
    ----------
    old, new : str
        The name that was used and the one to use, in full (``"ephysfit.write"``).
    since : str
        The version that brought the new name.

    Examples
    --------
    >>> def compensate(*given):
    ...     deprecated("ephysfit.compensate", "ephysfit.compensate_electrode", "0.2.0")
    ...     return compensate_electrode(*given)
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and _inside(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    warnings.warn_explicit(
        f"{old} is called {new} since ephysfit {since}; the old name goes with the next version",
        DeprecationWarning,
        filename=frame.f_code.co_filename,
        lineno=frame.f_lineno,
        module=frame.f_globals.get("__name__", "<unknown>"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _inside(module: str) -> bool:
    """Whether a module is of ephysfit or of the import system: the user's line lies further out."""
    return module.partition(".")[0] in ("ephysfit", "importlib") or module.startswith("_frozen_importlib")


class _Moved:
    """A finder of `sys.meta_path`, asked last, and the loader of what it finds: the module under its new name."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in MOVED:
            return None
        deprecated(name, MOVED[name], "0.2.0")
        return ModuleSpec(name, _Moved)  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        return None

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        # what stands in sys.modules after this call is what the import returns
        found = import_module(MOVED[module.__name__])
        for old, new in MOVED_NAMES.get(found.__name__, {}).items():
            vars(found).setdefault(old, getattr(found, new))
        sys.modules[module.__name__] = found


def serve_moved_modules() -> None:
    """Let imports by the paths of `MOVED` find their modules, with a warning."""
    if _Moved not in sys.meta_path:
        sys.meta_path.append(_Moved)
