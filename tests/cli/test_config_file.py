"""The file of sync configs: the same text for the same configs, and mistakes that are told."""

import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilesync.cli.config_file import FILE_BYTES_MAX, read_file, write_file
from mobilesync.cli.exit_codes import ExitCode
from mobilesync.cli.failures import CommandFailed
from mobilesync.domain.sync_config import SyncConfig

CHAT = SyncConfig(
    biz="CHAT", scope="appointed", target_kind="user", multi_device=False, retention_s=604_800
)
NEWS = SyncConfig(biz="news.daily", description='says "hi"\n\\', persistent=False)


def test_only_what_is_not_the_default_is_written_in_order_of_names() -> None:
    expected = """\
[bizzes.CHAT]
multi_device = false
retention_s = 604800
scope = "appointed"
target_kind = "user"

[bizzes.PLAIN]

[bizzes."news.daily"]
description = "says \\"hi\\"\\n\\\\"
persistent = false
"""
    text = write_file([NEWS, SyncConfig(biz="PLAIN"), CHAT])
    assert text == expected == write_file([CHAT, SyncConfig(biz="PLAIN"), NEWS])


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "bizzes.toml"
    for configs in ([], [CHAT], [CHAT, NEWS]):
        file.write_text(write_file(configs))
        assert [msgspec.convert(each, SyncConfig) for each in read_file(file)] == configs


@given(
    st.text(max_size=100),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,10}", fullmatch=True),
    st.integers(-100, 100),
)
def test_any_text_survives(description: str, biz: str, priority: int) -> None:
    description = description.encode("utf-8", "ignore").decode()
    config = SyncConfig(biz=biz, description=description, priority=priority)
    rules = tomllib.loads(write_file([config]))["bizzes"][biz]
    assert msgspec.convert({"biz": biz, **rules}, SyncConfig) == config


@pytest.mark.parametrize(
    "text, words",
    [
        ("[bizzes.CHAT", "is no TOML"),
        ("\xff", "is no TOML"),
        ("", "has no table [bizzes]"),
        ("bizzes = 5", "has no table [bizzes]"),
        ("[bizzes]\nCHAT = 5", "bizzes.CHAT is no table"),
        ('mode = "production"\n[bizzes]', "'mode' does not belong here"),
        ("[bizzes.CHAT]\npriority = 1.5", "[bizzes.CHAT] priority is no rule's value"),
        ("[bizzes.CHAT]\npriority = 2020-01-01", "priority is no rule's value"),
        ("[bizzes.CHAT]\npriority = [1]", "priority is no rule's value"),
        ("[bizzes.CHAT]\npriority = 99999999999999999999", "priority is no rule's value"),
        ("[bizzes.CHAT.rules]\npriority = 1", "rules is no rule's value"),
        ('[bizzes.CHAT]\nbiz = "NEWS"', "biz is no rule"),
        ("#" * (FILE_BYTES_MAX + 1), "is too large"),
    ],
)
def test_what_is_no_such_file(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "bizzes.toml"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(CommandFailed) as caught:
        read_file(file)
    failure = caught.value.failure
    assert words in failure.message
    assert (failure.exit_code, bool(failure.hint)) == (ExitCode.USAGE, True)


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path, Path("a\0b")):
        with pytest.raises(CommandFailed, match="cannot read"):
            read_file(path)
