"""What is installed on which machine, and what is said when it cannot be."""

from collections.abc import Sequence

import pytest

from tools.system_packages import DEBIAN_PACKAGES, Machine, prepare, report


class World:
    """A machine of the test's own: what it has, what works on it, and what was run."""

    def __init__(
        self,
        *,
        has_fuse: bool = False,
        has_pyfuse3: bool = False,
        is_root: bool = True,
        is_debian: bool = True,
        lists_are_fresh: bool = True,
        has_network: bool = True,
        builds: bool = True,
    ) -> None:
        self.has_fuse = has_fuse
        self.lists_are_fresh = lists_are_fresh
        self.has_network = has_network
        self.builds = builds
        self.commands: list[str] = []
        self.machine = Machine(
            run=self.run,
            has_program=lambda name: self.has_fuse,
            has_module=lambda name: has_pyfuse3,
            is_root=is_root,
            is_debian=is_debian,
        )

    def run(self, command: Sequence[str]) -> bool:
        match command:
            case ["pkg-config", *_]:
                return self.has_fuse
            case ["apt-get", *_, "update"]:
                self.commands.append("update")
                self.lists_are_fresh = self.has_network
                return self.has_network
            case ["apt-get", *_]:
                assert set(DEBIAN_PACKAGES) <= set(command)
                self.commands.append("install")
                self.has_fuse = self.has_network and self.lists_are_fresh
                return self.has_fuse
        assert "pip" in command
        self.commands.append("pip")
        return self.builds


@pytest.mark.parametrize(
    "world, commands",
    [
        (World(has_fuse=True, has_pyfuse3=True), []),
        (World(has_fuse=True, is_root=False), ["pip"]),
        (World(), ["install", "pip"]),
        (World(has_pyfuse3=True), ["install"]),
        (World(lists_are_fresh=False), ["install", "update", "install", "pip"]),
    ],
)
def test_it_installs_only_what_is_missing(world: World, commands: list[str]) -> None:
    assert prepare(world.machine) is None
    assert world.commands == commands


@pytest.mark.parametrize(
    "world, commands, sentence",
    [
        (World(is_root=False), [], "apt-get install fuse3"),
        (World(is_debian=False), [], "apt-get install fuse3"),
        (World(is_root=False, has_pyfuse3=True), [], "fusermount3 is missing"),
        (World(has_network=False), ["install", "update"], "apt-get install fuse3"),
        (World(has_fuse=True, builds=False), ["pip"], "could not be built"),
    ],
)
def test_it_says_what_is_missing(world: World, commands: list[str], sentence: str) -> None:
    assert sentence in (prepare(world.machine) or "")
    assert world.commands == commands


@pytest.mark.parametrize(
    "missing, environment, code",
    [(None, {"CI": "true"}, 0), ("x.", {}, 0), ("x.", {"CI": "true"}, 1)],
)
def test_only_ci_insists(missing: str | None, environment: dict[str, str], code: int) -> None:
    assert report(missing, environment) == code
