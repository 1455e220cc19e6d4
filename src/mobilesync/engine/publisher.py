"""Publish: check a whole call, store it, wake who waits.

Strategy: everything that can be wrong with a call is found before anything is stored, so a
refused call has no effect at all. Then one `append` stores all of it in one group commit, and one
wake per target follows.

Not here: HTTP (api/), who may publish (api/), pushing (pump.py).

Invariants:
- the answer comes only after the store's;
- targets are woken only after that, and always, even if the caller has gone.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

from mobilesync.domain.channel import EVERYONE, Channel, is_user_target, parse_target
from mobilesync.domain.clock import Clock
from mobilesync.domain.conditions import Conditions, Rollout, conditions
from mobilesync.domain.errors import (
    BizOffline,
    InvalidRequest,
    MobilesyncError,
    OutcomeUnknown,
    Overloaded,
    Refused,
    TooLarge,
    WrongTarget,
)
from mobilesync.domain.message_id import (
    RESERVED,
    made_message_id,
    series_of,
    whole_message_id,
)
from mobilesync.domain.names import check_app, check_biz, check_key, check_message_id
from mobilesync.domain.oplog import Appended, Details, Draft, oplog_of
from mobilesync.domain.sync_config import SyncConfig
from mobilesync.engine.apps import Apps
from mobilesync.engine.configs import SyncConfigs
from mobilesync.engine.feed import Feed
from mobilesync.engine.metrics import Metrics
from mobilesync.engine.options import PublisherLimits
from mobilesync.engine.outcomes import Outcomes
from mobilesync.engine.publication import Checked, InvalidBatch, Publication, Published
from mobilesync.engine.rate import TokenBucket
from mobilesync.engine.scheduled import Scheduled
from mobilesync.engine.scheduler import AHEAD_MS_MAX, DAY_MS, Scheduler
from mobilesync.engine.sessions import Sessions
from mobilesync.engine.tail import Tail
from mobilesync.engine.waker import Waker
from mobilesync.protocol.limits import ID_MAX
from mobilesync.storage.contract import Document, Store

CHANNELS_KEPT = 50_000
"""Channels that are checked once, at about 300 bytes each."""


class Publisher:
    """Takes publishes of all apps."""

    def __init__(
        self,
        store: Store,
        apps: Apps,
        configs: SyncConfigs,
        sessions: Sessions,
        waker: Waker,
        feed: Feed,
        tail: Tail,
        outcomes: Outcomes,
        scheduler: Scheduler,
        *,
        clock: Clock,
        entropy: random.Random,
        limits: PublisherLimits,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._apps = apps
        self._configs = configs
        self._sessions = sessions
        self._waker = waker
        self._feed = feed
        self._tail = tail
        self._outcomes = outcomes
        self._scheduler = scheduler
        self._clock = clock
        self._entropy = entropy
        self._limits = limits
        self._metrics = metrics
        self._buckets: dict[str, TokenBucket] = {}
        self._series = series_of(entropy.getrandbits(64))
        self._made = 0
        """Message ids that were made."""
        self._channels: dict[tuple[str, str, str], Channel] = {}
        """Channels whose names and whose biz's rules let publishers have them."""
        configs.on_change(self._config_changed)
        self.on_appended: list[Callable[[Sequence[Draft]], None]] = []
        """Called with the drafts of an append that have become durable. Must not raise."""
        self._followed: set[asyncio.Task[None]] = set()
        """One for each cancelled publish that is not durable yet; the store's queue bounds them."""

    async def publish(self, app: str, publications: Sequence[Publication]) -> list[Published]:
        """Store `publications` in their order and push them to who should have them.

        Durable when it returns, but for notices (bizzes that are not persistent), which are
        handed to the devices that are online. Cancelling does not undo it.

        Raises UnknownApp; InvalidBatch, TooLarge (nothing stored); Overloaded, StoreUnavailable
        (nothing stored, come back after `retry_after_s`); OutcomeUnknown (publish again with the
        same message ids).
        """
        try:
            return await self._publish(app, publications)
        except MobilesyncError as error:
            refused = self._metrics.publishes_refused
            refused[error.code] = refused.get(error.code, 0) + 1
            raise

    def check(self, app: str, publication: Publication) -> Checked:
        """What a publish of `publication` would store, or send. Nothing happens.

        Raises UnknownApp, InvalidRequest, TooLarge and Overloaded as it would.
        """
        self._apps.get(check_app(app))
        self._check_size([publication])
        try:
            [checked] = self._check_items(app, [publication])
        except InvalidBatch as error:
            raise error.items[0][1] from None
        return checked

    async def append(self, drafts: Sequence[Draft]) -> list[Appended]:
        """Store drafts that the service itself makes, or that were checked before, and wake who
        waits. Raises what `Store.append` raises."""
        return await self._append(list(drafts))

    async def stop(self) -> None:
        """Follow no cancelled publish any more: it is in the store, or not."""
        for task in tuple(self._followed):
            task.cancel()
        await asyncio.gather(*self._followed, return_exceptions=True)

    async def _publish(self, app: str, publications: Sequence[Publication]) -> list[Published]:
        begin_s = self._clock.monotonic_s()
        self._apps.get(check_app(app))
        self._check_size(publications)
        self._check_rate(app, len(publications))
        checked = self._check_items(app, publications)
        await self._configs.create(app, (each.draft.channel.biz for each in checked))
        appended = iter(await self._append([each.draft for each in checked if each.is_due]))
        scheduled = iter(await self._schedule(checked))
        published: list[Published] = []
        for each in checked:
            if each.is_notice:
                await self._sessions.notify(each.draft)
                published.append(Published(0, each.draft.message_id))
            elif each.due_ms:
                published.append(next(scheduled))
            else:
                answer = next(appended)
                message_id = whole_message_id(each.draft.message_id, answer.id)
                published.append(Published(answer.id, message_id, answer.duplicate))
        self._metrics.publishes += 1
        self._metrics.append_s.observe(self._clock.monotonic_s() - begin_s)
        return published

    def _check_size(self, publications: Sequence[Publication]) -> None:
        limits = self._limits
        if not publications:
            raise InvalidRequest("nothing to publish", field="oplogs", hint="at least one item")
        if len(publications) > limits.batch_items_max:
            hint = f"at most {limits.batch_items_max} items in one call"
            raise TooLarge("too many items", field="oplogs", hint=hint)
        if sum(len(item.payload) for item in publications) > limits.batch_bytes_max:
            hint = f"at most {limits.batch_bytes_max} bytes of payload in one call"
            raise TooLarge("the batch is too large", field="oplogs", hint=hint)

    def _check_rate(self, app: str, count: int) -> None:
        limits = self._limits
        if not limits.rate_per_s:
            return
        now_s = self._clock.monotonic_s()
        bucket = self._buckets.get(app)
        if bucket is None:
            bucket = self._buckets[app] = TokenBucket(limits.rate_per_s, limits.burst, now_s)
        wait_s = bucket.take(count, now_s)
        if wait_s > 0:
            hint = f"the app may publish {limits.rate_per_s:g} oplogs per second"
            raise Overloaded("too many publishes", retry_after_s=wait_s, hint=hint)

    def _check_items(self, app: str, publications: Sequence[Publication]) -> list[Checked]:
        checked: list[Checked] = []
        wrong: list[tuple[int, InvalidRequest]] = []
        now_ms = self._clock.wall_ms()
        for index, item in enumerate(publications):
            try:
                config = self._configs.find(app, item.biz)
                if config is None:
                    config = self._configs.first_use(app, check_biz(item.biz))
                due_ms = _due_ms(config, item, now_ms)
                draft = self._draft(app, config, item, due_ms, now_ms)
                checked.append(Checked(draft, due_ms, not config.persistent))
            except InvalidRequest as error:
                wrong.append((index, error))
        if wrong:
            raise InvalidBatch(wrong)
        return checked

    def _draft(
        self, app: str, config: SyncConfig, item: Publication, due_ms: int, now_ms: int
    ) -> Draft:
        """The draft as it is to be appended at `due_ms`, or now if that is 0."""
        begin_ms = due_ms or now_ms
        if config.status == "offline":
            hint = "take it online to publish again"
            raise BizOffline(f"biz {config.biz} is offline", field="biz", hint=hint)
        if len(item.payload) > self._limits.payload_bytes_max:
            hint = f"at most {self._limits.payload_bytes_max} bytes"
            raise TooLarge("the payload is too large", field="payload", hint=hint)
        retention_end_ms = begin_ms + config.retention_s * 1000
        until_ms = item.valid_until_ms
        if until_ms is not None and not begin_ms < until_ms <= ID_MAX:
            hint = "milliseconds since 1970, in the future, and after valid_from_ms"
            raise InvalidRequest("it would never be valid", field="valid_until_ms", hint=hint)
        by_retention = until_ms is None or until_ms >= retention_end_ms
        channel = self._channels.get((app, item.biz, item.target)) or self._channel(
            app, config, item.target
        )
        message_id = item.message_id
        if message_id:
            _check_message_id(message_id)
        elif due_ms or not config.persistent:
            # Whoever asks for it before it has an id, or it never has one, must know it whole.
            message_id = f"{self._entropy.getrandbits(128):032x}"
        else:
            self._made += 1
            message_id = made_message_id(self._series, self._made)
        return Draft(
            channel,
            item.payload,
            message_id,
            begin_ms,
            retention_end_ms if until_ms is None else min(until_ms, retention_end_ms),
            by_retention,
            _conditions(config, item),
            self._details(app, channel.target, item) if item.key or item.callback else None,
        )

    def _channel(self, app: str, config: SyncConfig, target: str) -> Channel:
        channel = Channel(app, config.biz, checked_target(config, parse_target(target)))
        if len(self._channels) >= CHANNELS_KEPT:
            self._channels.clear()
        self._channels[channel] = channel
        return channel

    def _config_changed(self, _app: str, _config: SyncConfig | None) -> None:
        self._channels.clear()

    def _details(self, app: str, target: str, item: Publication) -> Details:
        if item.key:
            check_key(item.key)
        if item.callback:
            self._outcomes.check_callback(app, target, item.callback)
        return Details(item.key, item.callback)

    async def _schedule(self, checked: Sequence[Checked]) -> list[Published]:
        """Have the scheduler keep what is not due; answer for each of those."""
        later = [each for each in checked if each.due_ms]
        if not later:
            return []
        known = [await self._store.find(e.draft.channel, e.draft.message_id) for e in later]
        fresh = [
            Scheduled(each.due_ms, each.draft)
            for each, found in zip(later, known, strict=True)
            if not found
        ]
        try:
            twice = iter(await self._scheduler.put(fresh))
        except Refused as error:
            if len(later) == len(checked):
                raise
            # The rest of the call is stored.
            hint = "publish again with the same message ids"
            raise OutcomeUnknown(f"not all was stored: {error.message}", hint=hint) from error
        published: list[Published] = []
        for each, found in zip(later, known, strict=True):
            message_id = each.draft.message_id
            if found:
                published.append(Published(found, message_id, duplicate=True))
            else:
                duplicate = next(twice)
                published.append(Published(0, message_id, duplicate, scheduled=True))
        return published

    async def _append(self, drafts: list[Draft]) -> list[Appended]:
        if not drafts:
            return []
        also = self._outcomes.also(drafts)
        given: list[Appended] = []

        def note(answers: Sequence[Appended]) -> Sequence[Document]:
            given.extend(answers)
            self._note(drafts, answers)
            return also(answers) if also is not None else ()

        try:
            answers = await self._store.append(drafts, note)
        except asyncio.CancelledError:
            task = asyncio.get_running_loop().create_task(self._follow(drafts, given))
            self._followed.add(task)
            task.add_done_callback(self._followed.discard)
            raise
        except Refused:
            # The ids that were noted are another append's.
            self._forget(drafts)
            raise
        except OutcomeUnknown:
            self._forget(drafts)
            self._forget_withdrawn(drafts)
            self._wake(drafts)
            raise
        self._stored(drafts, answers)
        duplicates = sum(answer.duplicate for answer in answers)
        self._metrics.oplogs_duplicate += duplicates
        self._metrics.oplogs_appended += len(answers) - duplicates
        return answers

    async def _follow(self, drafts: list[Draft], given: list[Appended]) -> None:
        """Wake for what a caller has left behind, once it is durable: as what is put after it."""
        with suppress(MobilesyncError):
            await self._store.put_documents(())
            if given:
                self._outcomes.stored(drafts, given)
        self._forget_withdrawn(drafts)
        self._wake(drafts)

    def _stored(self, drafts: list[Draft], answers: list[Appended]) -> None:
        self._forget_withdrawn(drafts)
        pairs = zip(drafts, answers, strict=True)
        fresh = [draft for draft, answer in pairs if not answer.duplicate]
        for listener in self.on_appended:
            listener(fresh)
        self._outcomes.stored(drafts, answers)
        self._wake(drafts)

    def _note(self, drafts: Sequence[Draft], answers: Sequence[Appended]) -> None:
        """Have the tail ready when the head moves, for those who wait: nobody asks it for more than
        is durable. What a withdrawal is about to change must be read anew then."""
        note, is_watched = self._tail.note, self._waker.is_watched
        for draft, answer in zip(drafts, answers, strict=True):
            app, _, target = channel = draft.channel
            if draft.details is not None and draft.details.withdraws is not None:
                self._tail.forget(channel)
            elif not answer.duplicate and is_watched(app, target):
                note(channel, oplog_of(draft, answer.id))

    def _forget(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            self._tail.forget(draft.channel)

    def _forget_withdrawn(self, drafts: list[Draft]) -> None:
        """What is in memory of a channel is stale once one of its oplogs was withdrawn."""
        for draft in drafts:
            if draft.details is not None and draft.details.withdraws is not None:
                self._feed.withdrawn(draft.channel)

    def _wake(self, drafts: list[Draft]) -> None:
        for app, target in dict.fromkeys((d.channel.app, d.channel.target) for d in drafts):
            self._waker.wake(app, target)


def _check_message_id(given: str) -> None:
    check_message_id(given)
    if given.startswith(RESERVED):
        hint = f"it may not begin with {RESERVED}"
        raise InvalidRequest("a reserved message id", field="message_id", hint=hint)


def _due_ms(config: SyncConfig, item: Publication, now_ms: int) -> int:
    """When the item is to be appended; 0 for now. Raises InvalidRequest."""
    from_ms = item.valid_from_ms
    if from_ms is None or from_ms <= now_ms:
        return 0
    if not config.persistent:
        hint = "a biz that is not persistent reaches who is online now"
        raise InvalidRequest("it cannot be scheduled", field="valid_from_ms", hint=hint)
    if from_ms > now_ms + AHEAD_MS_MAX:
        hint = f"at most {AHEAD_MS_MAX // DAY_MS} days ahead, in milliseconds since 1970"
        raise InvalidRequest("too far ahead", field="valid_from_ms", hint=hint)
    return from_ms


def checked_target(config: SyncConfig, target: str) -> str:
    """`target`, if `config` lets publishes have it. Raises WrongTarget."""
    is_global = target == EVERYONE
    if is_global and config.scope == "appointed":
        hint = "its scope is appointed: name a user or a device"
    elif not is_global and config.scope == "global":
        hint = "its scope is global: publish to everyone"
    elif not is_global and config.target_kind == "user" and not is_user_target(target):
        hint = "its target kind is user: user:<id>"
    elif not is_global and config.target_kind == "device" and is_user_target(target):
        hint = "its target kind is device: device:<id>"
    else:
        return target
    raise WrongTarget(f"biz {config.biz} has no such targets", field="target", hint=hint)


def _conditions(config: SyncConfig, item: Publication) -> Conditions | None:
    is_for_all = item.rollout_percent == 100 and not item.rollout_salt
    if is_for_all and not (
        item.os
        or item.app_version_min
        or item.app_version_max
        or item.users
        or item.user_number_min
        or item.user_number_max
        or item.attributes
    ):
        # As most are.
        return None
    rollout = Rollout(item.rollout_percent, item.rollout_salt or config.biz)
    return conditions(
        item.os,
        item.app_version_min,
        item.app_version_max,
        users=item.users,
        user_number_min=item.user_number_min,
        user_number_max=item.user_number_max,
        attributes=item.attributes,
        rollout=None if is_for_all else rollout,
    )
