"""Text tables of any program: the same numbers come back however they are written, or are refused in a sentence."""

import codecs

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ephysfit.data.loading import info, load
from ephysfit.data.sniffing import find_layout
from ephysfit.data.text_encoding import decode_text
from ephysfit.data.text_tables import read_text
from ephysfit.errors import RecordingError

N = 400
T = np.arange(N) * 0.1
I = np.round(50 * np.sin(T / 5), 3)
V = np.round(-65 + 80 * np.exp(-(((T - 20) / 0.6) ** 2)), 3)
#: longest message that fits a screen
SCREEN = 1600


def rows(sep="\t", scale=1.0, columns=(T, I, V), form="{:.6g}"):
    return [sep.join(form.format(x) for x in row) for row in zip(columns[0] * scale, *columns[1:], strict=True)]


def saved(folder, lines, name="cell.txt", encoding="utf-8"):
    path = folder / name
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


def holds(recording, current=I, voltage=V):
    assert recording.dt == pytest.approx(0.1, rel=1e-9)
    np.testing.assert_allclose(recording[0].current, current, atol=1e-3)
    np.testing.assert_allclose(recording[0].voltage, voltage, atol=1e-3)
    return True


def refused(path, **options):
    with pytest.raises(RecordingError) as caught:
        load(path, **options)
    assert len(str(caught.value)) < SCREEN
    return str(caught.value)


#: what each program writes above and between the numbers
PROGRAMS = {
    "Clampfit, one sweep": [
        'ATF\t1.0', '3\t3', '"AcquisitionMode=Gap Free"', '"Comment="', '"Signals="\t"IN 0"\t"IN 1"',
        '"Time (ms)"\t"Trace #1 (pA)"\t"Trace #1 (mV)"', *rows(),
    ],
    "LabChart": [
        "Interval=\t0.0001 s", "ExcelDateTime=\t4.1e+04\t01/02/2020", "TimeFormat=\tStartOfBlock",
        "ChannelTitle=\tIm\tVm", "Range=\t1000 pA\t200 mV", *rows(scale=1e-3),
    ],
    "LabChart with units and remarks": [
        "Interval=\t0.0001 s", "ChannelTitle=\tInput 1\tInput 2", "Range=\t10.000 V\t10.000 V", "UnitName=\tpA\tmV",
        *[row + ("\t#1 drug on" if k == 7 else "") for k, row in enumerate(rows(scale=1e-3))],
    ],
    "PicoScope": ["Time,Current,Voltage", "(ms),(pA),(mV)", "", *rows(",")],
    "Excel of a European": ["sep=;", "Time (ms);Current (pA);Voltage (mV)",
                            *[row.replace(".", ",") for row in rows(";")]],
    "R write.csv": ['"","time_ms","current_pA","voltage_mV"', *[f'"{k + 1}",{row}' for k, row in enumerate(rows(","))]],
    "R write.table": ['"time_ms" "current_pA" "voltage_mV"', *[f'"{k + 1}" {row}' for k, row in enumerate(rows(" "))]],
    "pandas with its index": [",time_ms,current_pA,voltage_mV", *[f"{k},{row}" for k, row in enumerate(rows(","))]],
    "Origin": ["Time\tCurrent\tVoltage", "ms\tpA\tmV", "\t\tcell 3", *rows()],
    "numpy.savetxt": ["# time_ms,current_pA,voltage_mV", *rows(",")],
    "Patchmaster": ['Series_1_1', 'Sweep_1_1_1', '"Index","Time[s]","I-mon[A]","Time[s]","V-mon[V]"', *[
        f"{k}, {t:.9E}, {i:.9E}, {t:.9E}, {v:.9E}" for k, (t, i, v) in
        enumerate(zip(T * 1e-3, I * 1e-12, V * 1e-3, strict=True))]],
    "aligned with blanks": ["  time (ms)   I (pA)   Vm (mV)", *["   ".join(row.split()) + "  " for row in rows()]],
    "a column of remarks": ["time_ms,current_pA,voltage_mV,comment",
                            *[row + ("," if k else ",stim on") for k, row in enumerate(rows(","))]],
    "trailing tabs and rules": ["cell 7", "Time (ms)\tI (pA)\tV (mV)\t", "-----\t-----\t-----\t",
                                *[row + "\t" for row in rows()]],
    "words at the end": ["time_ms,current_pA,voltage_mV", *rows(","), "end of file"],
    "comments among the numbers": ["time_ms,current_pA,voltage_mV", *rows(",")[:9], "# drug on", *rows(",")[9:]],
}  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_exports_of_programs_are_read(tmp_path, program, encoding):
    assert holds(load(saved(tmp_path, PROGRAMS[program], encoding=encoding)))


def test_what_is_left_out_is_counted_and_said(tmp_path):
    lines = ["time_ms,current_pA,voltage_mV", *rows(",")[:9], "# drug on", *rows(",")[9:], "end of file", "bye"]
    found = info(saved(tmp_path, lines))
    assert [(r.rule, r.count, r.of) for r in found.removed] == [("words among the numbers", 3, "lines")]
    assert "1 comment line among the numbers left out" in found.sweeps[0].notes
    assert "2 lines of words behind the numbers left out, the first 'end of file'" in found.sweeps[0].notes


def test_what_was_understood_is_said(tmp_path):
    found = load(saved(tmp_path, PROGRAMS["PicoScope"]))
    said = "commas between cells, names in line 1, units in line 2, numbers from line 4 (400 rows of 3 cells)"
    assert found.facts["table"] == f"text in utf-8, {said}"
    assert found.facts["columns"] == ("time from 'Time (ms)', current from 'Current (pA)', voltage from 'Voltage (mV)'")
    assert found.loaded["table"] == found.facts["table"]


def test_traces_of_an_atf_are_sweeps(tmp_path):
    names = ['"Time (s)"', *[f'"Trace #{k} ({unit})"' for k in range(1, 13) for unit in ("mV", "pA")]]
    columns = [T * 1e-3, *[c for k in range(1, 13) for c in (V + k, I * k)]]
    lines = ["ATF\t1.0", "1\t25", '"Comment="', "\t".join(names), *rows(columns=columns, form="{:.9g}")]
    recording = load(saved(tmp_path, lines))
    assert len(recording) == 12
    for k, sweep in enumerate(recording, 1):
        np.testing.assert_allclose(sweep.current, I * k, atol=1e-3)
        np.testing.assert_allclose(sweep.voltage, V + k, atol=1e-3)


def test_columns_as_a_list_or_a_pattern_are_sweeps(tmp_path):
    names = ["time_ms", *[f"{q}{k}" for k in range(1, 12) for q in "IV"]]
    columns = [T, *[c for k in range(1, 12) for c in (I * k, V)]]
    path = saved(tmp_path, [",".join(names), *rows(",", columns=columns)])
    units = {"current": "pA", "voltage": "mV"}
    many = load(path, columns={"current": "I*", "voltage": "V*"}, units=units)
    assert len(many) == 11
    np.testing.assert_allclose(many[10].current, I * 11, atol=1e-2)
    two = load(path, columns={"current": "I1,I11", "voltage": ["V1", "V11"]}, units=units)
    np.testing.assert_allclose(two[1].current, I * 11, atol=1e-2)


def test_blocks_under_their_own_names_are_sweeps(tmp_path):
    head = '"Index","Time[s]","I-mon[A]","V-mon[V]"'
    block = lambda factor: [  # noqa: E731
        f"{k}, {t:.9E}, {i:.9E}, {v:.9E}"
        for k, (t, i, v) in enumerate(zip(T * 1e-3, factor * I * 1e-12, V * 1e-3, strict=True))
    ]
    recording = load(saved(tmp_path, ["Sweep_1_1_1", head, *block(1), "", "Sweep_1_1_2", head, *block(2)]))
    assert len(recording) == 2
    holds(recording)
    np.testing.assert_allclose(recording[1].current, 2 * I, atol=1e-3)
    assert any("2 blocks" in note for note in recording[0].notes)


def test_skip_and_names_where_the_lines_do_not_tell(tmp_path):
    assert "line 1 ('400') holds numbers too, but is not a row of 3" in refused(saved(tmp_path, ["400", *rows(" ")]))
    path = saved(tmp_path, ["3 400 7", *rows(" ")])
    ask = {"names": "time,current,voltage", "units": {"time": "ms", "current": "pA", "voltage": "mV"}}
    assert "time is not regular" in refused(path, **ask)
    assert holds(load(path, skip=1, **ask))
    assert "names= has 2 names, and rows have 3 cells" in refused(path, skip=1, names=["a", "b"])
    assert "skip=4000" in refused(path, skip=4000)
    assert "an option of text tables" in refused(npz(tmp_path), skip=1)


def npz(folder):
    np.savez(folder / "a.npz", current_pA=I, voltage_mV=V, dt_ms=0.1)
    return folder / "a.npz"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            ["time_ms,current_pA,voltage_mV", *rows(",")[:5], "0.5,1", *rows(",")[5:]],
            "line 7 .* has 2 cells where .* 3",
        ),
        (["time_ms,current_pA,voltage_mV", *rows(",")[:5], "0.5,1,2,3", *rows(",")[5:]], "line 7 .* has 4 cells"),
        (["time_ms,current_pA,voltage_mV", *rows(",")[:5], "0.5,1,2,3", "0.6,1", *rows(",")[5:]], "line 7 .* 4 cells"),
        (["time_ms,current_pA,voltage_mV", *rows(",")[:5], "0.5,x,-60", *rows(",")[5:]], "line 7 .* holds 'x'"),
        (["time_ms,current_pA,voltage_mV", *rows(","), "40,1"], "line 402 .* has 2 cells"),
        (["time_ms;current_pA;voltage_mV", "0;1.250,5;-65", *rows(";")[1:]], "line 2 .* holds numbers too"),
        (["time_ms;current_pA;voltage_mV", *rows(";")[:9], "0.9;1,250.5;-65", *rows(";")[10:]], "line 11 .* thousands"),
        (["time_ms,current_pA", *[row.replace(".", ",") for row in rows(",", columns=(T + 0.1, I + 0.123))]], "cells"),
    ],
)
def test_lines_that_are_no_rows_are_refused_with_their_number(tmp_path, lines, says):
    import re

    said = refused(saved(tmp_path, lines), **({"planned": True} if lines[0].count(",") == 1 else {}))
    assert re.search(says, said), said


@pytest.mark.parametrize("mark", [",", "."])
def test_thousands_are_never_taken_for_decimals(tmp_path, mark):
    whole = [f"{k}\t{1000 + k:,}\t{-70 - k % 3}".replace(",", mark) for k in range(50)]
    path = saved(tmp_path, ["time_ms\tcurrent_pA\tvoltage_mV", *whole])
    if mark == ".":  # every cell of the column has three decimals, as fixed ones have
        assert load(path)[0].current[0] == 1.0
        path = saved(tmp_path, ["time_ms\tcurrent_pA\tvoltage_mV", "0\t999\t-70", *whole[1:]])
    said = refused(path)
    assert "may be 100" in said
    assert f"decimal={mark!r}" in said
    assert load(path, decimal=mark)[0].current[1] == pytest.approx(1.001)


def test_names_that_pandas_counts_are_no_sample(tmp_path):
    path = saved(tmp_path, ["0,1,2", *rows(",")])
    ask = {
        "columns": {"time": 0, "current": 1, "voltage": 2},
        "units": {"time": "ms", "current": "pA", "voltage": "mV"},
    }
    assert "give skip=1 to pass over it, or skip=0" in refused(path, **ask)
    assert holds(load(path, skip=1, **ask))


def test_a_single_column_may_be_two(tmp_path):
    lines = [row.replace(".", ",") for row in rows(columns=(I + 0.0005,), form="{:.3f}")]
    assert "may be" in refused(
        saved(tmp_path, lines), planned=True, columns={"current": 0}, units={"current": "pA"}, dt=0.1
    )
    named = load(saved(tmp_path, ["current_pA", *lines]), planned=True, dt=0.1)
    np.testing.assert_allclose(named[0].current, I, atol=2e-3)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"array": [' + b"-69.8, " * 20_000 + b"1]}", "JSON"),
        (b"[" + b"-69.8, " * 20_000 + b"1]", "JSON"),
        (b"1 " * 20_000, "give separator=|no column holds|1 line"),
        (b"\n".join(b",".join(b"name%d" % k for k in range(4000)) for _ in range(2)), "not a table"),
        (b",".join(b"name%d" % k for k in range(4000)) + 4 * (b"\n" + b"1," * 3999 + b"2"), "more"),
        (b"\x93NUMPY\x01\x00" + bytes(99), r"np\.savez"),
        (b"\x80\x04\x95" + bytes(99), "pickle"),
        (b"\x1f\x8b\x08" + bytes(99), "unpack it"),
        (b"AxGr" + bytes(99), r"\.axgx"),
        (b"<?xml version='1.0'?>", "XML"),
        (b'"INFORMATION"\n"cell.smr"\n', "spreadsheet text"),
        (b"IGOR\nWAVES/D a\nBEGIN\n1\nEND\n", r"\.ibw"),
        ("t (µs),I\n".encode("utf-16") + b"\xff\xff\xff", "utf-16|UTF-8|no reader"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_told_in_a_sentence(tmp_path, content, says):
    import re

    path = tmp_path / "cell"
    path.write_bytes(content)
    said = refused(path)
    assert re.search(says, said), said
    assert not re.search("tokeniz|C error|codec|ParserError", said)


def test_samples_side_by_side_are_told(tmp_path):
    lines = [",".join([name, *map(str, x)]) for name, x in (("time_ms", T), ("current_pA", I), ("voltage_mV", V))]
    assert "transpose the table" in refused(saved(tmp_path, lines))


def test_wavesurfer_and_other_hdf5_are_named(tmp_path):
    import h5py

    for name, says in (("sweep_0001", "a WaveSurfer file"), ("other", "HDF5 without NWB")):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_group("header")
            file.create_group(name)
        assert says in refused(tmp_path / f"{name}.h5")


def test_a_unit_that_the_file_says_wrong_is_overruled_and_said(tmp_path):
    path = saved(tmp_path, ["time_ms,current_pA,voltage_mV", *rows(",", columns=(T, I / 1e3, V), form="{:.9g}")])
    for units in ({"current": "nA"}, {"current_pA": "nA"}):
        recording = load(path, units=units)
        assert holds(recording)
        assert "current from 'current_pA' (in nA, as units= says)" in recording.facts["columns"]
    assert "neither a quantity nor a column" in refused(path, units={"curent": "nA"})


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32"])
def test_encodings_are_told(encoding):
    text = "time [µs];I [pA]\n" + "0;1\n" * 40
    assert decode_text(text.encode(encoding))[0] == text


def read_or_told(path):
    """The table, or why there is none."""
    try:
        return read_text(path)
    except RecordingError as error:
        return str(error)


SEPARATORS = st.sampled_from(["\t", ";", ",", "|", " ", "   ", "; ", ", "])
PREAMBLES = st.lists(
    st.sampled_from(["cell 7, slice 2", "", "3\t7", "Recorded at 32.5 C", "# by hand", "12", "a=1;b=2", "Day 3.4.19"]),
    max_size=4,
)  # fmt: skip
HEADERS = st.sampled_from(["names with units", "names, then units", "quoted", "none", "in a comment"])


@settings(max_examples=200, deadline=None)
@given(
    numbers=st.lists(
        st.tuples(st.floats(-500, 500), st.floats(-120, 60)).map(lambda row: tuple(round(x, 3) for x in row)),
        min_size=4, max_size=12,
    ),
    separator=SEPARATORS, comma=st.booleans(), header=HEADERS, preamble=PREAMBLES, trailing=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]), end=st.sampled_from(["\n", "\r\n", "\r"]),
    blank=st.booleans(), form=st.sampled_from(["{:.3f}", "{:g}", "{!r}"]),
)  # fmt: skip
def test_the_same_numbers_come_back_or_are_refused(
    tmp_path_factory, numbers, separator, comma, header, preamble, trailing, encoding, end, blank, form
):
    """However a table is written, never other numbers."""
    table = np.array([(k * 0.1, *row) for k, row in enumerate(numbers)]).round(4)
    tail = separator.strip() if trailing and separator.strip() else ""
    join = lambda cells: separator.join(cells) + tail  # noqa: E731
    names, units = ["Time", "Im", "Vm"], ["ms", "pA", "mV"]
    head = {
        "names with units": [join([f"{n}_{u}" for n, u in zip(names, units, strict=True)])],
        "names, then units": [join(names), join([f"({u})" for u in units])],
        "quoted": [join([f'"{n} ({u})"' for n, u in zip(names, units, strict=True)])],
        "in a comment": ["# " + separator.join(f"{n}_{u}" for n, u in zip(names, units, strict=True))],
        "none": [],
    }[header]
    body = [join([form.format(float(x)) for x in row]) for row in table]
    exact = [[float(form.format(float(x))) for x in row] for row in table]
    if comma:
        body = [row.replace(".", ",") for row in body]
    lines = [*preamble, *head, *([""] if blank else []), *body]
    path = tmp_path_factory.mktemp("t") / "cell.txt"
    path.write_bytes(end.join(lines).encode(encoding))
    found = read_or_told(path)
    if isinstance(found, str):
        ambiguous = (comma and separator.strip() == ",") or (
            header == "none" and any(said in found for said in ("holds numbers too", "names over rows"))
        )
        assert ambiguous, f"refused: {found}\n{lines}"
        return
    columns = list(found.arrays.values())
    if comma and separator.strip() == ",":
        assert header == "none" or not all(name.startswith(("Time", "Im", "Vm")) for name in found.arrays), lines
        return  # nothing can tell six whole numbers from three decimal ones where there are no names
    assert np.array_equal(np.stack(columns[:3], axis=1), np.array(exact)), (found.summary, lines)
    if header != "none":
        assert [name[:2] for name in list(found.arrays)[:3]] == ["Ti", "Im", "Vm"], found.summary


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8")))
def test_any_bytes_are_a_table_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("t") / "cell.txt"
    path.write_bytes(content)
    found = read_or_told(path)
    assert not isinstance(found, str) or 0 < len(found) < SCREEN


def test_a_mark_alone_is_no_text():
    with pytest.raises(RecordingError):
        find_layout([""])
    assert decode_text(codecs.BOM_UTF8)[0] == ""


def test_a_few_spike_times_beside_many_samples_are_numbers(tmp_path):
    """The lines that are looked at to tell the layout hold none of them."""
    n, spikes = 20_000, [100.0, 350.5, 1200.25]
    current = np.round(50 * np.sin(np.arange(n) / 50), 3)
    for where in ([0, 1, 2], [1000, 3505, 12_002]):
        cells = dict(zip(where, spikes, strict=True))
        lines = [f"{0.1 * k:.1f},{i:g},{cells.get(k, '')}" for k, i in enumerate(current)]
        recording = load(saved(tmp_path, ["time_ms,current_pA,spike_times_ms", *lines]))
        assert recording[0].spike_times == pytest.approx(spikes)
    with pytest.raises(RecordingError, match="it is empty"):
        load(saved(tmp_path, ["time_ms,current_pA,spike_times_ms", *[f"{0.1 * k:.1f},{k % 7}," for k in range(n)]]))


def test_a_short_row_is_refused_also_where_the_last_column_has_gaps(tmp_path):
    lines = [f"{t:g},{i:g},{v:g}" for t, i, v in zip(T, I, V, strict=True)]
    lines[50] = lines[50].rsplit(",", 1)[0] + ","
    assert np.isnan(load(saved(tmp_path, ["time_ms,current_pA,voltage_mV", *lines]))[0].voltage[50])
    lines[60] = lines[60].rsplit(",", 1)[0]
    with pytest.raises(RecordingError, match=r"line 62 .* has 2 cells where the rows above have 3"):
        load(saved(tmp_path, ["time_ms,current_pA,voltage_mV", *lines]))
