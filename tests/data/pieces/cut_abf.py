"""Pieces of ABF 2 files: whole headers, few sweeps, packed. How those of this folder were made:

python tests/data/pieces/cut_abf.py FOLDER      # with raphe/ and abf/ inside, from the sources that README.md names
"""

from __future__ import annotations

import lzma
import struct
import sys
from pathlib import Path

import numpy as np

BLOCK = 512
#: where the list of sections has that of protocol, of channels, of epochs, of samples and of sweep times
PROTOCOL, ADC, EPOCHS, DATA, TIMES = (76 + 16 * k for k in (0, 1, 5, 10, 15))
HERE = Path(__file__).parent
STEPS, NOISE = "raphe/DRN164_5HT/current_steps", "raphe/DRN164_5HT/DRN164_5ht"
#: piece: source, sweeps of it, samples of each (None: all; a rebuilt command needs all)
PIECES = {
    "steps_recorded": (STEPS, range(17, 20), None),
    "noise_training": (f"{NOISE}_training", range(1), 20_000),
    "noise_test": (f"{NOISE}_test", range(3), 10_000),
    "noise_gaba": ("raphe/DRN158_GABA/DRN158_gaba_training", range(1), 10_000),
    "electrode": (f"{NOISE}_aec", range(1), None),
    "lost_stimulus": ("abf/171116sh_0017", range(3), 2_000),
    "steps_pyramidal": ("abf/171116sh_0018", range(7, 9), None),
    "steps_interneuron": ("abf/2019_07_24_0055_fsi", range(5, 7), None),
    "steps_fine": ("abf/18713001", range(9, 12), None),
    "steps_axon": ("abf/File_axon_5", range(6, 9), None),
}


def cut(source: bytes, sweeps: range, samples: int | None = None) -> bytes:
    """Some neighbouring sweeps of an ABF 2 file of sweeps of equal length, and as many samples of each.

    The levels and lengths of epochs that grow from sweep to sweep are those of the first sweep that is kept.
    """
    head = bytearray(source)

    def get(form: str, at: int) -> tuple[int, ...]:
        return struct.unpack_from("<" + form, source, at)

    def put(form: str, at: int, *values: float) -> None:
        struct.pack_into("<" + form, head, at, *values)

    first, _, count = get("IIq", DATA)
    block_of_times, _, episodes = get("IIq", TIMES)
    channels = get("q", ADC + 8)[0]
    data = np.frombuffer(source, "<i2", count, first * BLOCK).reshape(episodes, -1, channels)
    data = data[sweeps.start : sweeps.stop, :samples]
    times = np.frombuffer(source, "<i4", 2 * episodes, block_of_times * BLOCK).reshape(episodes, 2).copy()
    kept = times[sweeps.start : sweeps.stop]
    kept[:, 1] = data[0].size
    protocol = get("I", PROTOCOL)[0] * BLOCK
    put("i", protocol + 22, data[0].size), put("i", protocol + 30, len(data)), put("I", 12, len(data))
    block_of_epochs, size, epochs = get("IIq", EPOCHS)
    for at in range(block_of_epochs * BLOCK, block_of_epochs * BLOCK + size * epochs, size or 1):
        level, rise, length, growth = struct.unpack_from("<ffii", source, at + 6)
        put("f", at + 6, level + sweeps.start * rise), put("i", at + 14, length + sweeps.start * growth)
    body = data.tobytes()
    body += bytes(-len(body) % BLOCK)
    put("IIq", DATA, first, 2, data.size)
    put("IIq", TIMES, first + len(body) // BLOCK, 8, len(data))
    out = bytes(head[: first * BLOCK]) + body + kept.tobytes()
    return out + bytes(-len(out) % BLOCK)


def main(folder: Path) -> None:
    """Write all."""
    for name, (source, sweeps, samples) in PIECES.items():
        piece = cut((folder / f"{source}.abf").read_bytes(), sweeps, samples)
        (HERE / f"{name}.abf.xz").write_bytes(lzma.compress(piece, preset=9 | lzma.PRESET_EXTREME))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
