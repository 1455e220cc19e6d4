"""`python -m tests.crash.phones ORDERS`: some phones in one process, which may be killed.

Strategy: the process connects its phones and lives until its standard input ends, then closes them
in good order. `Phones` is the other side: it starts the process, kills it, starts it again on the
same files, and puts together what all lives have left behind.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from mobilesync.sim import history as h
from tests.crash.chronicle import Chronicle, Moment, now_ms, read_moments
from tests.crash.phone import TRANSACTIONAL, Door, Phone, Plan, store_path
from tests.crash.powercut.mount import REPOSITORY
from tests.crash.recorded_store import Death, Fate, done_twice, read_history
from tests.crash.server_process import clean_environment

_CLOSE_TIMEOUT_S = 15.0


class _Orders(Struct):
    """What the process is told on its command line."""

    folder: str
    door: Door
    plans: tuple[Plan, ...]
    death: str = ""


async def _live(orders: _Orders) -> None:
    folder = Path(orders.folder)
    chronicle = Chronicle(folder / "calls")
    fate = Fate(Death.parse(orders.death) if orders.death else None)
    phones = [Phone(plan, orders.door, folder, chronicle, fate) for plan in orders.plans]
    over = asyncio.Event()
    # Ends also when whoever started us has died.
    asyncio.get_running_loop().add_reader(0, over.set)
    for phone in phones:
        await phone.start()
    await over.wait()
    for phone in phones:
        await phone.close()
    chronicle.close()
    with (folder / "troubles").open("a") as file:
        file.writelines(f"{trouble}\n" for phone in phones for trouble in phone.troubles)


class Phones:
    """All lives of some devices."""

    def __init__(
        self, folder: Path, door: Door, plans: Sequence[Plan], chronicle: Chronicle
    ) -> None:
        self.plans = tuple(plans)
        self.kills = 0
        self._folder = folder
        self._door = door
        self._chronicle = chronicle
        self._process: asyncio.subprocess.Process | None = None
        self._reached: set[tuple[str, str]] = set()
        self._looked_at = 0
        folder.mkdir()

    @property
    def is_up(self) -> bool:
        """Whether a life was begun and not ended by us."""
        return self._process is not None

    async def start(self, death: Death | None = None) -> None:
        """Begin a life; with `death`, one that ends by itself."""
        assert self._process is None
        orders = _Orders(str(self._folder), self._door, self.plans, str(death or ""))
        with (self._folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.crash.phones", msgspec.json.encode(orders)),
                cwd=REPOSITORY,
                env=clean_environment(),
                stdin=asyncio.subprocess.PIPE,
                stderr=log,
            )

    async def kill(self) -> None:
        """End this life with -9."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self.died()

    async def died(self) -> None:
        """Wait until this life has ended with -9."""
        assert self._process is not None
        status = await self._process.wait()
        self._forget()
        assert status == -signal.SIGKILL, f"ended with {status}: {self.log_tail()}"
        self.kills += 1
        for plan in self.plans:
            self._chronicle.add(h.DeviceKilled(now_ms(), plan.name(self._door.app)))

    async def stop(self) -> None:
        """End this life in good order. Idempotent."""
        process = self._process
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                status = await process.wait()
        except TimeoutError:
            process.kill()
            status = await process.wait()
        self._forget()
        assert status == 0, f"ended with {status}: {self.log_tail()}"

    async def abandon(self) -> None:
        """End whatever there is. Idempotent."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._forget()

    def _forget(self) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process = None

    def reached(self) -> set[tuple[str, str]]:
        """(device, message id) of all handler calls that have finished."""
        if self._process is not None and self._process.returncode is not None:
            raise AssertionError(f"the phones ended by themselves: {self.log_tail()}")
        moments, self._looked_at = read_moments(self._folder / "calls", self._looked_at)
        for _, fact in moments:
            if isinstance(fact, h.HandlerFinished):
                self._reached.add((fact.device, fact.message_id))
        return self._reached

    def moments(self) -> list[Moment]:
        """What all lives have done. None may be going on."""
        found, _ = read_moments(self._folder / "calls")
        for plan in self.plans:
            if (path := store_path(self._folder, plan)).exists():
                found += read_history(path)
        return found

    def troubles(self, *, may_repeat: bool) -> list[str]:
        """What no history tells. `may_repeat`: after a restore, oplogs may come again."""
        path = self._folder / "troubles"
        found = path.read_text().splitlines() if path.exists() else []
        for plan in self.plans:
            twice = done_twice(store_path(self._folder, plan))
            if twice and not may_repeat:
                found.append(f"{plan.device}: {TRANSACTIONAL} was done twice for {twice}")
        return found

    def log_tail(self) -> str:
        """The last lines that the lives have written to standard error."""
        return (self._folder / "log").read_text(errors="replace")[-2000:]


if __name__ == "__main__":
    os.setpgid(0, 0)  # a Ctrl-C is for the test, which then ends us by our input
    asyncio.run(_live(msgspec.json.decode(sys.argv[1], type=_Orders)))
