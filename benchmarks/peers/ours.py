"""`mobilesync serve` behind the interface of the peers, and what its users need to know."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.peer import Place, Running
from benchmarks.processes import mobilesync_server
from mobilesync.engine.clock import SystemClock
from mobilesync.engine.tokens import sign_token

TOKEN_MS = 24 * 3_600_000


@dataclass(frozen=True)
class Ours(Running):
    """Mobilesync, running. Its place's publish port is the one of the HTTP API."""

    api_key: str
    app: str
    secret: str

    def token(self, number: int) -> str:
        """For device `d<number>` of user `u<number>`."""
        now_ms = SystemClock().wall_ms()
        return sign_token(
            self.secret,
            app=self.app,
            user=f"u{number}",
            device=f"d{number}",
            issued_at_ms=now_ms,
            expires_at_ms=now_ms + TOKEN_MS,
        )

    def write_tokens(self, path: Path, count: int, first: int = 0) -> None:
        """One line for each device from `first` on."""
        path.write_text("".join(f"{self.token(first + each)}\n" for each in range(count)))


@contextmanager
def ours(**settings: str) -> Iterator[Ours]:
    """`mobilesync serve` as it is by default, or with other `settings`."""
    with mobilesync_server(**settings) as server:
        ports = server.ports
        certificate = Path(ports["certificate"])
        place = Place(
            server.folder,
            certificate,
            certificate.with_name("key.pem"),
            ports["port"],
            int(ports["api_url"].rpartition(":")[2]),
        )
        pid, secret = server.process.pid, ports["hs256_secret"]
        yield Ours("mobilesync", pid, place, ports["api_key"], ports["app"], secret)
