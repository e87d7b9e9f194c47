"""ABF 1 files byte by byte after the published layout, for the reader to be tested on."""

import struct

import numpy as np

#: header with the extension that came with version 1.6
HEADER = 6144


def abf1(path, channels, outputs, enabled=(True, False), rate=10_000.0, mode=5, telegraph=None):
    """An ABF 1.83 of 16-bit samples.

    Channels are (name, unit, largest value, samples of shape (sweep, time)), outputs are units; telegraph is the mode
    that a MultiClamp gave for each channel.
    """
    data = np.stack([np.atleast_2d(samples) for *_, samples in channels], axis=-1)
    sweeps, n, k = data.shape
    head = bytearray(HEADER)

    def put(at, form, *values):
        struct.pack_into("<" + form, head, at, *values)

    def write(at, width, text):
        head[at : at + width] = text.encode("latin-1").ljust(width)

    write(0, 4, "ABF ")
    blocks = -(-data.size * 2 // 512)
    put(4, "f", 1.83), put(8, "h", mode), put(10, "i", data.size), put(16, "i", sweeps)
    put(40, "i", HEADER // 512), put(92, "i", HEADER // 512 + blocks), put(96, "i", sweeps)
    put(120, "h", k), put(122, "f", 1e6 / rate / k), put(138, "i", n * k), put(244, "f", 10.0), put(252, "i", 32768)
    for c in range(16):
        name, unit, largest = channels[c][:3] if c < k else ("", "", 10.0)
        put(378 + 2 * c, "h", c), put(410 + 2 * c, "h", c if c < k else -1)
        write(442 + 10 * c, 10, name), write(602 + 8 * c, 8, unit)
        put(730 + 4 * c, "f", 1.0), put(922 + 4 * c, "f", 10.0 / largest), put(1050 + 4 * c, "f", 1.0)
        if telegraph is not None and c < k:
            put(4512 + 2 * c, "h", 1), put(4544 + 2 * c, "h", 24), put(4576 + 4 * c, "f", 1.0)
            put(4768 + 2 * c, "h", telegraph[c])
    for c, unit in enumerate(outputs):
        write(1306 + 10 * c, 10, f"Cmd {c}"), write(1346 + 8 * c, 8, unit)
    put(2296, "2h", *map(int, enabled)), put(2300, "2h", *map(int, enabled))
    largest = np.array([c[2] for c in channels])
    body = np.round(data * 32768 / largest).astype("<i2").tobytes().ljust(blocks * 512, b"\0")
    synch = np.array([[s * n * k, n * k] for s in range(sweeps)], dtype="<i4").tobytes()
    path.write_bytes(bytes(head) + body + synch)
    return path
