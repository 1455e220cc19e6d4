"""What somebody probably meant."""

from mobilesync.cli.suggestion import did_you_mean


def test_the_nearest_name() -> None:
    assert did_you_mean("prot", ["port", "host"]) == "did you mean port?"


def test_all_names_when_none_is_near() -> None:
    assert did_you_mean("xyz", ["port", "host"]) == "known are host, port"


def test_the_page_when_there_are_too_many() -> None:
    assert "settings.md" in did_you_mean("xyz", [f"name{n}" for n in range(40)])
