"""What people do while everything else goes wrong: other rules, recalls, rewinds, offers, verdicts.

None of it is a fault of the system; it has to be right whenever it comes.
"""

import random
from collections.abc import Callable

import msgspec

from mobilesync.domain.channel import EVERYONE, Channel, is_user_target
from mobilesync.sim.bizzes import draw_change
from mobilesync.sim.device import SimDevice
from mobilesync.sim.operator import SimOperator
from mobilesync.sim.publisher import SimPublisher
from mobilesync.sim.scenario import Scenario
from mobilesync.sim.user_check import SimUserCheck

CALM_KINDS = ("recall", "rewind", "offer")
"""What people still do when nothing fails any more."""
BAD_USERS_SHARE = 0.2


class OperatorFaults:
    """The people's doings."""

    def __init__(
        self,
        scenario: Scenario,
        rng: random.Random,
        operator: SimOperator,
        publisher: SimPublisher,
        user_check: SimUserCheck,
        devices: list[SimDevice],
    ) -> None:
        self._scenario = scenario
        self._rng = rng
        self._operator = operator
        self._publisher = publisher
        self._user_check = user_check
        self._devices = devices
        self.strikes: dict[str, Callable[[], None]] = {
            "rules_change": self._change_rules,
            "recall": self._recall,
            "rewind": self._rewind,
            "offer": self._offer,
            "user_check_trouble": self._toggle_check_trouble,
            "user_check_verdict": self._change_verdict,
        }

    def begin(self) -> None:
        """Set what holds for the whole faulty phase."""
        if "user_check" in self._scenario.rules:
            for app in self._scenario.apps:
                for user in self._scenario.users:
                    if self._rng.random() < BAD_USERS_SHARE:
                        self._user_check.hold(app, user, valid=False)
            self._user_check.answer_s = self._rng.choice((0.02, 1.0, 10.0))

    async def heal(self) -> None:
        """Every biz is online, with whatever other rules it has got, and callbacks answer."""
        self._user_check.fail_share = 0.0
        self._user_check.answer_s = 0.1
        for app in self._scenario.apps:
            for config in self._scenario.bizzes:
                rules = self._operator.rules.get((app, config.biz), config)
                online = msgspec.structs.replace(rules, status="online")
                self._operator.put_rules(app, online)
        await self._operator.settled()

    def act_in_calm(self) -> None:
        """Perhaps one more thing."""
        kinds = [kind for kind in CALM_KINDS if kind in self._scenario.faults]
        if kinds and self._rng.random() < 0.4:
            self.strikes[self._rng.choice(kinds)]()

    def _change_rules(self) -> None:
        app = self._rng.choice(self._scenario.apps)
        config = self._rng.choice(self._scenario.bizzes)
        rules = self._operator.rules.get((app, config.biz), config)
        self._operator.put_rules(app, draw_change(self._rng, rules))

    def _recall(self) -> None:
        known = self._publisher.answered
        if known:
            self._operator.recall(*self._rng.choice(known))

    def _rewind(self) -> None:
        known = self._publisher.answered
        if known:
            channel, oplog_id = self._rng.choice(known)
            device = self._device_of(channel)
            if device is not None:
                to = self._rng.randint(max(0, oplog_id - 3), oplog_id)
                self._operator.rewind(channel, device.plan.device, to)

    def _offer(self) -> None:
        known = self._publisher.answered
        if known:
            channel, oplog_id = self._rng.choice(known)
            device = self._device_of(channel)
            if device is not None:
                self._operator.offer(channel, oplog_id, device.plan.device)

    def _device_of(self, channel: Channel) -> SimDevice | None:
        """A device that is part of the channel's target, if there is one."""
        name = channel.target.partition(":")[2]
        found = [
            device
            for device in self._devices
            if device.plan.app == channel.app
            and (
                channel.target == EVERYONE
                or (device.user if is_user_target(channel.target) else device.plan.device) == name
            )
        ]
        return self._rng.choice(found) if found else None

    def _toggle_check_trouble(self) -> None:
        self._user_check.fail_share = self._rng.choice((0.0, 0.5, 1.0))

    def _change_verdict(self) -> None:
        app, user = self._rng.choice(self._scenario.apps), self._rng.choice(self._scenario.users)
        self._user_check.hold(app, user, valid=not self._user_check.is_good(app, user))
