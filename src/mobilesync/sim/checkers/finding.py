"""A guarantee that was broken, as a checker reports it."""

from msgspec import Struct


class Finding(Struct, frozen=True):
    """`guarantee` (such as `G1`) was broken at the true time `at_ms`."""

    guarantee: str
    at_ms: int
    sentence: str

    def __str__(self) -> str:
        return f"{self.guarantee} at {self.at_ms} ms: {self.sentence}"
