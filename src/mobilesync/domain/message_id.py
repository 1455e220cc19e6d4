"""Message ids that the service makes for oplogs whose publisher gave none.

Strategy: the publisher makes the beginning, which nobody else's has, and the oplog id ends it once
it is known. So a made message id tells which oplog has it: a store neither looks for it before an
append nor needs an index for it afterwards, and that is a third of what an append costs.
"""

import re

RESERVED = "mobilesync:"
"""What message ids of the service's own begin with; publishers may not use it."""
_MADE = re.compile(RESERVED + r"[0-9a-f]+-([1-9][0-9]{0,15})")


def series_of(number: int) -> str:
    """What the made message ids of one publisher begin with; `number` (64 bits, random) is nobody
    else's."""
    assert 0 <= number < 2**64
    return f"{RESERVED}{number:016x}"


def made_message_id(series: str, number: int) -> str:
    """The beginning of a message id: the one with `number` in a series."""
    return f"{series}{number}-"


def is_made(message_id: str) -> bool:
    """Whether it is such a beginning."""
    return message_id.endswith("-") and message_id.startswith(RESERVED)


def whole_message_id(message_id: str, oplog_id: int) -> str:
    """The message id of the oplog that a draft with `message_id` becomes under `oplog_id`."""
    return f"{message_id}{oplog_id}" if is_made(message_id) else message_id


def made_for(message_id: str) -> int:
    """The id of the oplog for which `message_id` was made; 0 when a publisher gave it."""
    found = _MADE.fullmatch(message_id)
    return int(found[1]) if found else 0
