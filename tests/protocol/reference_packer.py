"""MessagePack written from its specification alone: the second opinion on our vectors.

So that a vector is not merely what msgspec happened to write when it was recorded. Only what the
protocol uses (spec §3.3), always in the shortest format.
"""

import struct


def pack(value: object) -> bytes:
    """`value` as MessagePack."""
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return _pack_int(value)
        case str():
            data = value.encode()
            if len(data) < 32:
                return bytes([0xA0 | len(data)]) + data
            return _sized(len(data), (0xD9, 0xDA, 0xDB)) + data
        case bytes():
            return _sized(len(value), (0xC4, 0xC5, 0xC6)) + value
        case list():
            return _counted(len(value), 0x90, 0xDC) + b"".join(map(pack, value))
        case dict():
            pairs = (pack(key) + pack(each) for key, each in value.items())
            return _counted(len(value), 0x80, 0xDE) + b"".join(pairs)
    raise TypeError(value)


def frame(value: object) -> bytes:
    """`value` as the body of a frame."""
    body = pack(value)
    return struct.pack(">I", len(body)) + body


def _pack_int(value: int) -> bytes:
    if 0 <= value < 128:
        return bytes([value])
    if -32 <= value < 0:
        return struct.pack(">b", value)
    positive = (
        (1 << 8, 0xCC, "B"),
        (1 << 16, 0xCD, "H"),
        (1 << 32, 0xCE, "I"),
        (1 << 64, 0xCF, "Q"),
    )
    negative = (
        (1 << 7, 0xD0, "b"),
        (1 << 15, 0xD1, "h"),
        (1 << 31, 0xD2, "i"),
        (1 << 63, 0xD3, "q"),
    )
    for bound, first, form in positive if value >= 0 else negative:
        if -bound <= value < bound:
            return bytes([first]) + struct.pack(f">{form}", value)
    raise ValueError(value)


def _sized(size: int, firsts: tuple[int, int, int]) -> bytes:
    for first, form, bound in zip(firsts, "BHI", (1 << 8, 1 << 16, 1 << 32), strict=True):
        if size < bound:
            return bytes([first]) + struct.pack(f">{form}", size)
    raise ValueError(size)


def _counted(count: int, short: int, long: int) -> bytes:
    if count < 16:
        return bytes([short | count])
    if count < 1 << 16:
        return bytes([long]) + struct.pack(">H", count)
    return bytes([long + 1]) + struct.pack(">I", count)
