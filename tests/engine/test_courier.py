"""What a courier raises is one of our errors, with a code of its own."""

from mobilesync.domain.errors import MobilesyncError
from mobilesync.engine.courier import NotDelivered


def test_no_answer_is_no_invalid_request() -> None:
    error = NotDelivered("no answer in time", hint="is it up?")
    assert isinstance(error, MobilesyncError)
    assert (error.code, error.message, error.hint) == (
        "NOT_DELIVERED",
        "no answer in time",
        "is it up?",
    )
