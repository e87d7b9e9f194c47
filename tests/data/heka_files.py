"""HEKA Patchmaster bundles, byte by byte after the published layouts, in either byte order."""

import struct

import numpy as np
from nwb_files import volts

#: fields by the names of the published format: first byte and form
OFFSETS = {
    "GrLabel": (4, "32s"), "SeLabel": (4, "32s"), "RoStartTime": (520, "d"), "SwStimCount": (40, "i"),
    "SwSweepCount": (44, "i"), "SwTime": (48, "d"), "TrLabel": (4, "32s"), "TrData": (40, "i"),
    "TrDataPoints": (44, "i"), "TrAverageCount": (52, "i"), "TrLeakTraces": (60, "i"), "TrDataKind": (64, "H"),
    "TrRecordingMode": (68, "B"), "TrDataFormat": (70, "B"), "TrDataScaler": (72, "d"), "TrTimeOffset": (80, "d"),
    "TrZeroData": (88, "d"), "TrYUnit": (96, "8s"), "TrXInterval": (104, "d"), "TrXStart": (112, "d"),
    "TrXUnit": (120, "8s"), "TrLinkDAChannel": (216, "i"), "TrInterleaveSize": (292, "i"),
    "TrInterleaveSkip": (296, "i"), "TrTrHolding": (408, "d"), "TrDataPedestal": (504, "d"),
    "stEntryName": (4, "32s"), "stDataStartSegment": (100, "i"), "stNumberSweeps": (144, "i"), "stHasChirp": (175, "B"),
    "chAmplMode": (25, "B"), "chOwnSegTime": (26, "B"), "chSetLastSegVmemb": (27, "B"), "chDacChannel": (28, "h"),
    "chDacMode": (30, "B"), "chDacUnit": (40, "8s"), "chHolding": (48, "d"), "chStimToDacID": (76, "H"),
    "chHasLockInSine": (86, "B"), "chBreakMode": (87, "B"), "chStimSweep": (92, "i"), "chDacOffset": (200, "d"),
    "seClass": (4, "B"), "seStoreKind": (5, "B"), "seVoltageIncMode": (6, "B"), "seDurationIncMode": (7, "B"),
    "seVoltage": (8, "d"), "seVoltageSource": (16, "i"), "seDeltaVFactor": (20, "d"), "seDeltaVIncrement": (28, "d"),
    "seDuration": (36, "d"), "seDurationSource": (44, "i"), "seDeltaTFactor": (48, "d"), "seDeltaTIncrement": (56, "d"),
}  # fmt: skip
PULSE, STIMULI = (640, 144, 1408, 288, 512), (584, 248, 400, 80)
SCALE, STEP = 2.0**-18, 1e-4
#: A of the holding current, and A of the first step and of what it grows by
HOLDING, LEVEL, GROWTH = -20e-12, 100e-12, 50e-12
#: samples of a sweep: volts() of the other formats
POINTS = 2000


def record(size, order, **fields):
    """One record."""
    out = bytearray(size)
    for name, value in fields.items():
        at, form = OFFSETS[name]
        if at < size:
            struct.pack_into(order + form, out, at, value.encode("latin-1") if isinstance(value, str) else value)
    return bytes(out)


def tree(order, sizes, node):
    """A tree of nested (fields, children)."""

    def lay(node, level):
        fields, children = node
        below = b"".join(lay(child, level + 1) for child in children)
        return record(sizes[level], order, **fields) + struct.pack(f"{order}i", len(children)) + below

    magic = b"eerT" if order == "<" else b"Tree"
    return magic + struct.pack(f"{order}{len(sizes) + 1}i", len(sizes), *sizes) + lay(node, 0)


def segments(change=None, at=1):
    """Holding for 50 ms, a step of 100 ms that grows from sweep to sweep, holding for 50 ms."""
    plain = {"seStoreKind": 1, "seDeltaVFactor": 1.0, "seDeltaTFactor": 1.0, "seDurationIncMode": 5}
    rest = plain | {"seVoltageSource": 1, "seDuration": 0.05}
    step = plain | {"seVoltage": LEVEL * 1e9, "seDeltaVIncrement": GROWTH * 1e9, "seDuration": 0.1}
    made = [dict(rest), dict(step), dict(rest)]
    made[at] |= change or {}
    return [(fields, []) for fields in made]


def voltage():
    """Voltage of every sweep as it is stored, V."""
    return np.round(volts() / SCALE) * SCALE


def heka(
    path, order="<", sweeps=3, trace=None, sweep=None, stimulus=None, channel=None, segment=None, at=1, amps=False,
    amp=None, groups=("E-1",), sizes=PULSE, stimulus_sizes=STIMULI, block=0, form="i2", separate=False, channels=None,
):  # fmt: skip
    """A recording of current steps: `trace`, `sweep` ... override fields of every record of the kind.

    `trace` may be a function of the position of group and sweep. `amps` adds a trace of the recorded current, whose
    fields `amp` overrides; `block` puts the traces of a sweep into blocks of so many samples by turns; `separate`
    writes the trees into files beside the samples.
    """
    forms = {"i2": 0, "i4": 1, "f4": 2, "f8": 3}
    width, scale = np.dtype(form).itemsize, 1.0 if form.startswith("f") else SCALE
    body, made = b"", []
    for g, label in enumerate(groups):
        rows = []
        for k in range(sweeps):
            current = np.full(POINTS, HOLDING)
            current[500:1500] += LEVEL + k * GROWTH
            stored = [voltage() / scale] + ([current / 1e-12] if amps else [])
            stored = [np.round(s) if form.startswith("i") else s for s in stored]
            data = [s.astype(order + form).tobytes() for s in stored]
            traces, start = [], 256 + len(body)
            for j, bytes_of in enumerate(data):
                plain = {
                    "TrLabel": ("Vmon-1", "Imon-1")[j], "TrYUnit": "VA"[j], "TrDataScaler": (scale, 1e-12)[j],
                    "TrData": start + (j * block * width if block else j * len(bytes_of)), "TrDataPoints": POINTS,
                    "TrAverageCount": 1, "TrDataKind": int(order == "<"), "TrRecordingMode": 4,
                    "TrDataFormat": forms[form], "TrXInterval": STEP, "TrXUnit": "s", "TrLinkDAChannel": 1,
                    "TrTrHolding": HOLDING, "TrInterleaveSize": block * width,
                    "TrInterleaveSkip": block * width * len(data),
                }  # fmt: skip
                changed = amp if j else trace(g, k) if callable(trace) else trace
                traces.append((plain | (changed or {}), []))
            if block:
                body += b"".join(
                    one[i : i + block * width].ljust(block * width, b"\0")
                    for i in range(0, POINTS * width, block * width)
                    for one in data
                )
            else:
                body += b"".join(data)
            rows.append(({"SwStimCount": 1, "SwSweepCount": k + 1, "SwTime": 4.9e9 + 2.0 * k} | (sweep or {}), traces))
        made.append(({"GrLabel": label}, [({"SeLabel": "steps"}, rows)]))
    plain = {"chAmplMode": 2, "chDacMode": 1, "chDacChannel": 3, "chDacUnit": "A", "chHolding": HOLDING * 1e9,
             "chStimToDacID": 3} | (channel or {})  # fmt: skip
    outputs = [(plain, segments(segment, at)), *[(plain | other, segments()) for other in channels or ()]]
    pgf = [({"stEntryName": "long steps", "stNumberSweeps": sweeps} | (stimulus or {}), outputs)]
    parts = {
        ".dat": body,
        ".pul": tree(order, sizes, ({"RoStartTime": 4922414972.0}, made)),
        ".pgf": tree(order, stimulus_sizes, ({}, pgf)),
    }
    if separate:
        path.write_bytes(b"DAT1".ljust(256, b"\0") + body)
        for suffix in (".pul", ".pgf"):
            path.with_suffix(suffix).write_bytes(parts[suffix])
        return path
    head, out = bytearray(256), b""
    head[:8], head[8:14], head[52] = b"DAT2\0\0\0\0", b"v2x90.", order == "<"
    struct.pack_into(f"{order}i", head, 48, len(parts))
    for k, (name, part) in enumerate(parts.items()):
        struct.pack_into(f"{order}ii8s", head, 64 + 16 * k, 256 + len(out), len(part), name.encode())
        out += part
    path.write_bytes(bytes(head) + out)
    return path
