"""What can come of a call besides success, as one tree.

PublishError           carries the API's `code`, `hint` and `request_id`
├── InvalidRequest     the request must change; nothing was done
│   └── InvalidPublication  nothing was stored; `items` says what is wrong
├── NotAllowed         the API key is missing, wrong, or not good for this app
├── Unavailable        refused for now, or no answer, all tries used up; nothing was done
│   └── NotStored      nothing of the last try was stored
└── OutcomeUnknown     no answer: it may be done. Publish again with the same message ids
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WrongItem:
    """What is wrong with one publication of a batch."""

    index: int
    code: str
    message: str
    hint: str = ""
    field: str = ""


class PublishError(Exception):
    """A publish that did not succeed."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        hint: str = "",
        field: str = "",
        request_id: str = "",
        items: Sequence[WrongItem] = (),
    ) -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.message = message
        self.code = code
        """The API's error code; empty when there was no answer of the API's."""
        self.hint = hint
        self.field = field
        self.request_id = request_id
        """What to search for in the server's log."""
        self.items = tuple(items)
        self.message_ids: tuple[str, ...] = ()
        """Of the publications that were tried: use them again, and nothing is stored twice."""


class InvalidRequest(PublishError):
    """The request breaks a rule, or names what is not there. Nothing was done."""


class InvalidPublication(InvalidRequest):
    """The request breaks a rule; trying again cannot help. Nothing was stored."""


class NotAllowed(PublishError):
    """The API key is missing, wrong, or not good for this."""


class Unavailable(PublishError):
    """The server did not answer, or refused for now, until the tries were used up."""


class NotStored(Unavailable):
    """Nothing of the last try was stored."""


class OutcomeUnknown(PublishError):
    """It may or may not be stored, or done: publish again with the same message ids."""
