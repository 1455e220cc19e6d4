"""What every fact of a history has."""

from msgspec import Struct


class Fact(Struct, frozen=True, tag=True):
    """Something that happened at the true time `at_ms`."""

    at_ms: int
