"""What can come of a publish besides success, as one tree.

PublishError           carries the API's `code`, `hint` and `request_id`
├── InvalidPublication the request must change; nothing was stored; `items` says what is wrong
├── NotAllowed         the API key is missing, wrong, or not good for this app
├── NotStored          refused for now, all tries used up; nothing of the last try was stored
└── OutcomeUnknown     no answer: it may be stored. Publish again with the same message ids
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


class InvalidPublication(PublishError):
    """The request breaks a rule; trying again cannot help. Nothing was stored."""


class NotAllowed(PublishError):
    """The API key is missing, wrong, or not good for this."""


class NotStored(PublishError):
    """The server refused for now, and did so until the tries were used up."""


class OutcomeUnknown(PublishError):
    """It may or may not be stored: publish again with the same message ids."""
