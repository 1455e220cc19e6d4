"""What is published in a seed: to whom, with which conditions, and what handlers are to do with it.

Not here: when (world.py), by whom (publisher.py).
"""

import random
from collections.abc import Mapping, Sequence

from mobilesync.domain.channel import EVERYONE
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.publication import Publication
from mobilesync.sim.scenario import ATTRIBUTES, Scenario

WRONG_TARGETS_SHARE = 0.05
"""How many publishes are to whom the biz is not for, perhaps: they are refused."""
SCHEDULED_SHARE = 0.3
"""Of what may be."""


class Publications:
    """Draws the publications of one run."""

    def __init__(self, rng: random.Random, scenario: Scenario) -> None:
        self._rng = rng
        self._scenario = scenario
        self._count = 0

    def draw(self, app: str, now_ms: int) -> Publication:
        """One publication for `app`."""
        rng, drawn = self._rng, self._scenario
        self._count += 1
        config = rng.choice(drawn.bizzes)
        valid_s = rng.choice((0, 0, 0, rng.randint(2, 60), 3600))
        from_ms = None
        if "scheduled" in drawn.rules and config.persistent and rng.random() < SCHEDULED_SHARE:
            from_ms = now_ms + rng.randint(1, 40) * 1000
        number_min, number_max = self._numbers()
        percent = rng.choice((100.0, 25.0, 60.0)) if "rollout" in drawn.rules else 100.0
        return Publication(
            biz=config.biz,
            target=rng.choice(self._targets(app, config)),
            payload=self.payload(),
            message_id=f"m{self._count}",
            valid_from_ms=from_ms,
            valid_until_ms=(from_ms or now_ms) + valid_s * 1000 if valid_s else None,
            os=rng.choice(((), (), (), ("ios",), ("ios", "android"))),
            app_version_min=rng.choice(("", "", "", "1.2", "1.5")),
            app_version_max=rng.choice(("", "", "", "1.5", "1.9")),
            users=self._users(),
            user_number_min=number_min,
            user_number_max=number_max,
            attributes=self._attributes(),
            rollout_percent=percent,
            rollout_salt=rng.choice(("", "s")) if percent < 100 else "",
            key=rng.choice(("", "k1", "k2")) if "keys" in drawn.rules else "",
        )

    def payload(self) -> bytes:
        """A payload whose first byte tells the simulated handler what to do (app.py)."""
        rng = self._rng
        habit = rng.choice("nnnnnnnnnssssffh")
        if rng.random() < self._scenario.poison_share:
            habit = "p"
        size = rng.choice((0, 0, 0, 20, 300, 3000))
        return f"{habit}{self._count}".encode() + b"." * size

    def _targets(self, app: str, config: SyncConfig) -> Sequence[str]:
        rng, drawn = self._rng, self._scenario
        devices = [plan.device for plan in drawn.devices if plan.app == app]
        user, device = f"user:{rng.choice(drawn.users)}", f"device:{rng.choice(devices)}"
        if rng.random() < WRONG_TARGETS_SHARE:
            return (EVERYONE, user, device)
        appointed = {"user": (user,), "device": (device,), "any": (user, device)}
        if config.scope == "global":
            return (EVERYONE,)
        if config.scope == "appointed":
            return appointed[config.target_kind]
        return (EVERYONE, *appointed[config.target_kind])

    def _users(self) -> tuple[str, ...]:
        rng, users = self._rng, self._scenario.users
        if "audiences" not in self._scenario.rules or rng.random() < 0.7:
            return ()
        return tuple(user for user in users if rng.random() < 0.6)

    def _numbers(self) -> tuple[int, int]:
        if "audiences" not in self._scenario.rules or self._rng.random() < 0.85:
            return (0, 0)
        return self._rng.choice(((1, 0), (0, 10), (5, 50), (8, 9)))

    def _attributes(self) -> Mapping[str, Sequence[str]]:
        rng = self._rng
        if "attributes" not in self._scenario.rules or rng.random() < 0.6:
            return {}
        name = rng.choice(tuple(ATTRIBUTES))
        return {name: [rng.choice(ATTRIBUTES[name])]}
