"""A piece of a HEKA Patchmaster bundle: all trees, few sweeps, packed. How that of this folder was made:

python tests/data/pieces/cut_heka.py BUNDLE      # step_series.dat, from the source that README.md names
"""

from __future__ import annotations

import lzma
import struct
import sys
from pathlib import Path

HERE = Path(__file__).parent
#: positions of the sweeps that are kept
SWEEPS = (0, 20, 40)


def cut(source: bytes, sweeps: tuple[int, ...]) -> bytes:
    """Some sweeps of a little-endian bundle of one series of one trace per sweep.

    Records are those of the source, byte for byte, but for the number of sweeps below the series, the place of the
    samples, and the list of items. Every item is kept.
    """
    items = [struct.unpack_from("<ii8s", source, 64 + 16 * k) for k in range(12)]
    parts = {name.split(b"\0")[0]: source[start : start + length] for start, length, name in items if length}
    pulse = parts[b".pul"]
    sizes = struct.unpack_from("<5i", pulse, 8)
    sweep = sizes[3] + 4 + sizes[4] + 4
    first = 28 + sum(size + 4 for size in sizes[:3])
    records, samples = [], b""
    for k in sweeps:
        record = bytearray(pulse[first + k * sweep : first + (k + 1) * sweep])
        at, points = struct.unpack_from("<ii", record, sizes[3] + 4 + 40)
        struct.pack_into("<i", record, sizes[3] + 4 + 40, 256 + len(samples))
        samples += source[at : at + 2 * points]
        records.append(bytes(record))
    parts[b".pul"] = pulse[: first - 4] + struct.pack("<i", len(sweeps)) + b"".join(records)
    parts[b".dat"] = samples
    head, body = bytearray(source[:256]), b""
    for k, (start, _, ending) in enumerate(items):
        part = parts.get(ending.split(b"\0")[0], b"")
        struct.pack_into("<ii8s", head, 64 + 16 * k, 256 + len(body) if start else 0, len(part), ending)
        body += part
    return bytes(head) + body


if __name__ == "__main__":
    piece = cut(Path(sys.argv[1]).read_bytes(), SWEEPS)
    (HERE / "steps_heka.dat.xz").write_bytes(lzma.compress(piece, preset=9 | lzma.PRESET_EXTREME))
