"""Links that lead nowhere are caught, and places that mean nothing to a reader."""

import pytest

from tests.tools.tidy.conftest import Plant
from tools.tidy import documents

GUIDE = "# Guide\n\n## How it works: push & ack\n"


@pytest.mark.parametrize(
    "link",
    ["gone.md", "docs/gone.md", "#gone", "docs/guide.md#gone", "docs/guide.md#Guide"],
)
def test_a_link_that_leads_nowhere(plant: Plant, link: str) -> None:
    tree = plant({"README.md": f"# Read\n\nSee [it]({link}).\n", "docs/guide.md": GUIDE})
    assert [(f.rule, f.line) for f in documents.check(tree)] == [("link", 3)]


@pytest.mark.parametrize(
    "text",
    [
        "[it](docs/guide.md)",
        "[it](docs/guide.md#how-it-works-push--ack)",
        "[it](docs/)",
        "[it](#read)",
        "[it](src/mobilesync/a.py#anything)",
        "[it](https://example.org/gone.md)",
        "[it](mailto:a@example.org)",
        "`[it](gone.md)`",
        "```\n[it](gone.md)\n```",
        "http://127.0.0.1:8080 and ratio 1:2",
    ],
)
def test_what_resolves_or_is_no_link(plant: Plant, text: str) -> None:
    tree = plant(
        {
            "README.md": f"# Read\n\n{text}\n",
            "docs/guide.md": GUIDE,
            "src/mobilesync/a.py": "",
        }
    )
    assert list(documents.check(tree)) == []


def test_links_are_relative_to_their_document(plant: Plant) -> None:
    tree = plant({"docs/a.md": "[b](b.md) [r](../README.md)\n", "docs/b.md": "", "README.md": ""})
    assert list(documents.check(tree)) == []


def test_line_references(plant: Plant) -> None:
    text = "see pump.py" + ":12"
    tree = plant({"README.md": f"{text}\n", "src/mobilesync/a.py": f"# {text}\nx = '{text}'\n"})
    assert [(f.path, f.line) for f in documents.check(tree)] == [
        ("README.md", 1),
        ("src/mobilesync/a.py", 1),
    ]


def test_paths_of_one_machine(plant: Plant) -> None:
    tree = plant(
        {
            "README.md": "cd /" + "root/mobilesync\n",
            "src/mobilesync/a.py": "x = '/" + "work/data'\n",
            "Makefile": "\tls $(HERE)/" + "work/\n",
        }
    )
    assert [f.path for f in documents.check(tree)] == ["README.md", "src/mobilesync/a.py"]
