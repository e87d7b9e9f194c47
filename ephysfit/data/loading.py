"""Loading the files of a cell as one `Recording`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from ephysfit.data import access, hdf5, in_memory, preprocess
from ephysfit.data.assemble import Choice
from ephysfit.data.info import Report
from ephysfit.data.recording import Recording, join_recordings
from ephysfit.data.registry import Reader, find_reader, list_readers, read_file
from ephysfit.data.request import Request
from ephysfit.data.source import Source, as_file
from ephysfit.data.subprocess_read import run_isolated
from ephysfit.errors import RecordingError
from ephysfit.system import one_blas_thread

__all__ = ["Reader", "Request", "info", "list_readers", "load", "read_file"]


@one_blas_thread()
def load(
    path: Source | Sequence[Source] | Any,
    *,
    spikes: str | Mapping[str, Any] = "auto",
    sweeps: Sequence[str | int] | str | int | None = None,
    stimulus: str | None = None,
    kind: str | None = None,
    junction_potential: float | None = None,
    test_pulse: str = "mask",
    leak: str = "replace",
    padding: str = "cut",
    clamp: str | None = None,
    block: str = "refuse",
    train: str | None = None,
    test: str | None = None,
    allow_links: bool | None = None,
    timeout: float | None = None,
    isolate: bool = False,
    **reader_options: Any,
) -> Recording:
    """Load the recording of one cell.

    Parameters
    ----------
    path
        One file, or several of the same cell (for example training and test). The format is recognised by content. For
        NWB also an address, ``https://``, ``s3://`` or ``dandi://DANDISET/path.nwb``, from which only the requested
        sweeps are fetched. Or an object in memory: a neo Block or Segment.
    spikes
        ``"auto"`` takes the spike times of the file if it has any, and else detects them in the voltage. ``"detect"``
        always detects them. ``"given"`` requires those of the file. A mapping detects them with these options of
        `detect_spikes`.
    sweeps, stimulus, kind
        Only sweeps with these names or positions (counted from 0), with this text in the stimulus name, or of this
        kind of stimulus (``"noise"``, ``"step"``, ``"long_square"`` ...; see `Sweep.kind`).
    junction_potential
        Liquid junction potential, mV, subtracted from the recorded voltage: V = V_recorded - junction_potential. By
        default nothing is subtracted.
    test_pulse
        ``"mask"`` marks a test pulse at the beginning of the sweeps as not valid; ``"keep"`` leaves it valid.
    leak
        Treatment of a recorded current with an artefact locked to the spikes, which would give the spikes away to a
        model. ``"replace"`` takes the commanded current if the file holds it, and else refuses the sweep. ``"step"``
        takes the levels of its steps, if it moves in steps. ``"keep"`` takes it as recorded, with a warning.
    padding
        ``"cut"`` removes samples that were never recorded: the end of sweeps that were stopped early is cut off, and
        gaps filled with zeros are marked as not valid. ``"keep"`` takes the samples as they are.
    clamp
        ``"current"`` takes the recording as current clamp, whatever the file or the traces suggest. By default the mode
        is read from the file, or inferred from the traces if the format does not record it, and voltage clamp is
        refused.
    block
        ``"refuse"`` leaves out sweeps with depolarisation block, which most models cannot show and which would bend a
        fit; ``"keep"`` takes them, with a warning.
    train, test
        Sweeps that are to train and to test, as ``--train`` and ``--test`` name them. Rules that look at several sweeps
        together (leaks, test pulses) never judge a training sweep by a test sweep. By default the sides are those of
        `Recording.split`; give these where you divide otherwise. All sweeps are loaded in any case.
    allow_links
        Whether an HDF5 file may take samples from files outside its folder, by external links, external storage or
        virtual datasets; they are refused by default (``EPHYSFIT_ALLOW_LINKS=1`` allows them everywhere).
    timeout
        Seconds that a server may take to answer, and to send the next piece; a whole request may take five times as
        long. The default is 30, or ``EPHYSFIT_TIMEOUT``.
    isolate
        Read the file in a separate process, so that a damaged file that crashes its parser (libhdf5 can) is an error
        like any other. This takes about a second.
    **reader_options
        Options of the reader of the format, for example ``electrode=`` (NWB 2) or ``columns=`` (tables).

    Returns
    -------
    Recording
        The usable sweeps; `rejected` lists the others with the reason, `loaded` how the file was read.

    Raises
    ------
    RecordingError
        If a file cannot be read or holds no usable sweep.
    StimulusError
        If the injected current is missing or cannot be rebuilt.

    Examples
    --------
    >>> recording = load("data/DRN164.nwb")  # doctest: +SKIP
    >>> train, test = recording.split()  # doctest: +SKIP
    >>> noise = load("dandi://000020/sub-1/sub-1_icephys.nwb", kind="noise")  # doctest: +SKIP
    """
    if in_memory.is_neo_object(path):
        found, sources = in_memory.load_neo(path, Choice(sweeps, stimulus, kind), reader_options), None
        request = Request(
            Choice(),
            spikes,
            junction_potential,
            test_pulse,
            leak,
            {},
            padding,
            clamp,
            block=block,
            train=train,
            test=test,
        )
        return preprocess.prepare_recording(found, request, sources)
    request = Request(
        Choice(sweeps, stimulus, kind),
        spikes,
        junction_potential,
        test_pulse,
        leak,
        dict(reader_options),
        padding,
        clamp,
        access.choose_access(allow_links, timeout),
        block,
        train,
        test,
    )
    sources = _list_paths(path)
    if isolate:
        with access.use_access(request.reach):
            for source in sources:
                hdf5.check_file(as_file(source))
        return run_isolated(_load_all, sources, request)
    return _load_all(sources, request)


def _load_all(sources: Sequence[Source], request: Request) -> Recording:
    with access.use_access(request.reach):
        return join_recordings([_load_one(source, request) for source in sources])


def _load_one(source: Source, request: Request) -> Recording:
    file = as_file(source)
    if request.clamp is not None and "clamp" in find_reader(file).options:
        request = replace(request, options={**(request.options or {}), "clamp": request.clamp})
    found = read_file(file, request.choice, request.options)
    return preprocess.prepare_recording(found, request, file)


def _list_paths(path: Source | Sequence[Source]) -> list[Source]:
    paths = [path] if isinstance(path, str | PathLike) else list(path)
    if not paths or not all(isinstance(one, str | PathLike) for one in paths):
        raise RecordingError(f"load({path!r}): give the path of a file, or a list of paths of one cell")
    return paths


def info(path: Source | Sequence[Source], **options: Any) -> Report:
    """Report what a file contains, which sweeps are usable, and why the others are not.

    Parameters
    ----------
    path
        As for `load`.
    **options
        Options of `load`.

    Returns
    -------
    Report
        Also for a file of a known format without a usable sweep: `problem` gives the reason.

    Raises
    ------
    RecordingError
        If there is no such file, or no reader knows its format.

    Examples
    --------
    >>> found = info("data/DRN164.nwb")  # doctest: +SKIP
    >>> found.usable, [row["use"] for row in found.rows()]  # doctest: +SKIP
    """
    return survey(path, **options)[0]


@one_blas_thread()
def survey(path: Source | Sequence[Source], **options: Any) -> tuple[Report, Recording | None]:
    """Report on a file as `info` does, and load it; the recording is None if nothing is usable."""
    paths = _list_paths(path)
    if not options.get("isolate"):
        with access.use_access(access.choose_access(options.get("allow_links"), options.get("timeout"))):
            for one in paths:
                find_reader(as_file(one))
    try:
        recording = load(paths, **options)
    except RecordingError as error:
        source = ", ".join(Path(one).name for one in paths)
        return Report(source, rejected=getattr(error, "rejected", ()), problem=str(error)), None
    return Report.of(recording), recording
