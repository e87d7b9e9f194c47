"""Small files of formats that have no writer here, byte by byte after their published layouts."""

import struct

import numpy as np
from nwb_files import amps, volts

#: samples of a record: whole sectors of 512 bytes for two channels of 16 bits
SAMPLES = 2048


def samples():
    """Voltage, mV, and current, pA, of one record."""
    v, i = np.full(SAMPLES, -65.0), np.zeros(SAMPLES)
    v[:2000], i[:2000] = volts() * 1e3, amps() * 1e12
    return v, i


def winwcp(path, records=2):
    """WinWCP version 9: a header of text, then per record an analysis block of 1024 bytes and interleaved samples."""
    v, i = samples()
    lines = {
        "VER": 9, "CTIME": "01/02/2024 10:00:00", "RTIME": "01/02/2024 10:00:00", "NC": 2, "NR": records, "NBH": 2,
        "NBA": 2, "NBD": SAMPLES * 2 * 2 // 512, "ADCMAX": 32767, "DT": 0.0001, "AD": 10.0,
        "YN0": "Vm", "YU0": "mV", "YG0": 0.05, "YO0": 0, "YN1": "Im", "YU1": "pA", "YG1": 0.005, "YO1": 1,
    }  # fmt: skip
    text = "".join(f"{k}={value}\r\n" for k, value in lines.items()).encode("ascii")
    out = [text.ljust(1024, b"\0")]
    scale = 10.0 / 32767 / np.array([0.05, 0.005])
    for _ in range(records):
        analysis = b"ACCEPTED" + b"TEST" + struct.pack("<fff8f", 1.0, 0.0, 1e-4, *[10.0] * 8)
        out += [analysis.ljust(1024, b"\0"), np.round(np.stack([v, i], 1) / scale).astype("<i2").tobytes()]
    path.write_bytes(b"".join(out))
    return path


def axograph(path):
    """AxoGraph graph file, version 2: a time column as first value and step, then scaled 16-bit columns."""
    v, i = samples()

    def title(text):
        return bytes([len(text)]) + text.encode("ascii").ljust(79, b"\0")

    out = [
        b"AxGr",
        struct.pack(">HH", 2, 3),
        struct.pack(">l", SAMPLES),
        title("Time (s)"),
        struct.pack(">ff", 0.0, 1e-4),
    ]
    for name, data, gain in (("Vm (V)", v * 1e-3, 1e-5), ("Im (A)", i * 1e-12, 1e-14)):
        raw = np.round(data / gain).astype(">i2").tobytes()
        out += [struct.pack(">l", SAMPLES), title(name), struct.pack(">f", gain), raw]
    path.write_bytes(b"".join(out))
    return path


def neo_block(sweeps=2, volt=None, ampere=None):
    """A neo Block in V and A, of current clamp where no samples are given."""
    import neo
    import quantities as pq

    block = neo.Block(name="cell9")
    for k in range(sweeps):
        segment = neo.Segment(name=f"s{k}")
        for unit, data in (("V", volts() if volt is None else volt), ("A", amps() if ampere is None else ampere)):
            segment.analogsignals.append(neo.AnalogSignal(data, units=unit, sampling_rate=10 * pq.kHz, name=unit))
        block.segments.append(segment)
    return block
