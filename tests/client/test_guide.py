"""The guide says what is so: its code is typed and its table is the options'."""

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

import mobilesync.client
from mobilesync.client import ClientOptions

GUIDE = (Path(__file__).parents[2] / "docs/guides/python-sdk.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_uses_what_there_is(snippet: str) -> None:
    module = ast.parse(snippet)
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom):
            assert node.module == "mobilesync.client"
            for alias in node.names:
                assert alias.name in mobilesync.client.__all__
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "client":
            assert hasattr(mobilesync.client.Client, node.attr), node.attr
    compile(module, "python-sdk.md", "exec")


def test_the_options_and_their_defaults_are_all_there() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", GUIDE, re.MULTILINE))
    assert rows == {each.name: str(each.default) for each in fields(ClientOptions)}


def test_every_event_is_there() -> None:
    for event in ("Connecting", "Connected", "Paused", "Waiting", "Stopped", "Parked"):
        assert f"| `{event}(" in GUIDE
