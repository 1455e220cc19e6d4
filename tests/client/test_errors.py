"""The tree of errors."""

import inspect

from mobilesync.client import errors
from mobilesync.client.errors import ClientError, ClientStopped


def test_all_errors_are_one_tree_that_the_module_draws() -> None:
    drawn = errors.__doc__ or ""
    kinds = [each for _, each in inspect.getmembers(errors, inspect.isclass)]
    assert len(kinds) > 10
    for kind in kinds:
        assert issubclass(kind, ClientError)
        assert f" {kind.__name__} " in drawn or f"\n{kind.__name__} " in drawn


def test_an_error_carries_what_to_do() -> None:
    stopped = ClientStopped(3004, "no such app", hint="check the name")
    assert (stopped.code, stopped.reason, stopped.hint) == (3004, "no such app", "check the name")
    assert str(stopped) == "no such app"
