"""Message ids that the service makes for oplogs whose publisher gave none.

Strategy: the publisher makes the beginning, which nobody else's has, and the oplog id ends it once
it is known. So a made message id tells which oplog has it: a store neither looks for it before an
append nor needs an index for it afterwards, and that is a third of what an append costs.
"""

import re

RESERVED = "mobilesync:"
"""What message ids of the service's own begin with; publishers may not use it."""
_MADE = re.compile(RESERVED + r"[0-9a-f]+-([0-9a-f]{1,14})")


def made_message_id(series: str, number: int) -> str:
    """The beginning of a message id: the one with `number` in a hexadecimal `series` that nobody
    else uses."""
    return f"{RESERVED}{series}{number:08x}-"


def is_made(message_id: str) -> bool:
    """Whether it is such a beginning."""
    return message_id.endswith("-") and message_id.startswith(RESERVED)


def whole_message_id(message_id: str, oplog_id: int) -> str:
    """The message id of the oplog that a draft with `message_id` becomes under `oplog_id`."""
    return f"{message_id}{oplog_id:x}" if is_made(message_id) else message_id


def made_for(message_id: str) -> int:
    """The id of the oplog for which `message_id` was made; 0 when a publisher gave it."""
    found = _MADE.fullmatch(message_id)
    return int(found[1], 16) if found else 0
