"""A version that the changelog does not begin with is caught."""

import pytest

from tests.tools.tidy.conftest import Plant
from tools.tidy import release

VERSION = '"""Doc."""\n\n__version__ = "1.2.0"\n'


@pytest.mark.parametrize(
    "changelog",
    [
        "# Changelog\n\n## 1.2.0 (unreleased)\n\n## 1.1.0 (2025-01-31)\n",
        "# Changelog\n\n## 1.2.0 (2025-03-01)\n",
    ],
)
def test_the_same_version(plant: Plant, changelog: str) -> None:
    tree = plant({release.VERSION_FILE: VERSION, release.CHANGELOG: changelog})
    assert list(release.check(tree)) == []


@pytest.mark.parametrize(
    "version, changelog, path",
    [
        (VERSION, "## 1.1.0 (2025-01-31)\n\n## 1.2.0 (unreleased)\n", release.CHANGELOG),
        (VERSION, "## 1.2.0\n", release.CHANGELOG),
        ("", "## 1.2.0 (unreleased)\n", release.VERSION_FILE),
    ],
)
def test_another_version_or_none(plant: Plant, version: str, changelog: str, path: str) -> None:
    tree = plant({release.VERSION_FILE: version, release.CHANGELOG: changelog})
    assert [(f.rule, f.path) for f in release.check(tree)] == [("version", path)]


def test_missing_files(plant: Plant) -> None:
    assert len(list(release.check(plant({})))) == 2
