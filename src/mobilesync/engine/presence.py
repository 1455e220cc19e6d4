"""Tells who listens when devices come online and go offline.

Strategy: a session that opens is `device.online`, its end is `device.offline`; one that takes the
place of another of the same device is both, in that order. A server that dies can tell nobody: when
the next one starts, devices on record as online are told to be offline, unless they have come back.

Not here: what is known of devices (attendance.py).
"""

import asyncio
from collections.abc import Iterable

import structlog
from msgspec import structs

from mobilesync.domain.clock import Clock
from mobilesync.domain.errors import MobilesyncError
from mobilesync.engine.devices import Devices
from mobilesync.engine.happenings import Kind, Listener
from mobilesync.engine.session import Session
from mobilesync.engine.sessions import Sessions
from mobilesync.engine.ticker import pause

log = structlog.get_logger(__name__)

PAGE = 200


class Presence:
    """Listens for sessions."""

    def __init__(
        self, sessions: Sessions, devices: Devices, listener: Listener, clock: Clock
    ) -> None:
        self._sessions = sessions
        self._devices = devices
        self._listener = listener
        self._clock = clock
        self._recovering: asyncio.Task[None] | None = None

    def start(self, apps: Iterable[str]) -> None:
        """Tell of the devices of `apps` that an earlier life left online. Returns at once."""
        wanted = [app for app in apps if self._listener.wants(app, "device.offline")]
        if wanted:
            loop = asyncio.get_running_loop()
            self._recovering = loop.create_task(self._recover(wanted, self._clock.wall_ms()))

    async def stop(self) -> None:
        """End; who was not told of yet is told of in the next life."""
        if self._recovering is not None:
            self._recovering.cancel()
            await asyncio.gather(self._recovering, return_exceptions=True)

    def arrived(self, session: Session) -> None:
        """A session is open for its user."""
        # A change of user on the living session is no coming.
        if not session.generation:
            self._tell(session, "device.online")

    def left(self, session: Session) -> None:
        """An open session has ended."""
        self._tell(session, "device.offline")

    def _tell(self, session: Session, kind: Kind) -> None:
        if self._listener.wants(session.app, kind):
            data = {"device": session.device, "user": session.user, "session": session.id}
            self._listener.put(session.app, kind, data)

    async def _recover(self, apps: Iterable[str], begin_ms: int) -> None:
        for app in apps:
            after = ""
            while True:
                try:
                    page = await self._devices.page(app, after, PAGE)
                except MobilesyncError as error:
                    log.warning("presence_not_recovered", app=app, reason=str(error))
                    return
                for known in page:
                    was_online = not known.offline_since_ms and known.online_since_ms < begin_ms
                    if was_online and self._sessions.of_device(app, known.device) is None:
                        gone = structs.replace(known, offline_since_ms=begin_ms)
                        self._devices.note(app, gone)
                        data = {"device": known.device, "user": known.user, "session": ""}
                        self._listener.put(app, "device.offline", data)
                if len(page) < PAGE:
                    break
                after = page[-1].device
                await pause(0)
