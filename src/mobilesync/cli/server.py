"""The whole server in one process: its parts, made from settings, started and ended in order.

Strategy: what is started first is ended last. Starting: store, keys, engine, devices' door, API,
and only then the files by which tools on this machine find it. Ending: devices are sent away while
both doors still answer, so that nobody meets a silent port; then the doors close, and the store
comes last, with everything in it.

Not here: signals, and what is shown to a person (serve.py, demo.py).

Invariant: when `start` fails, whatever it had started is ended.
"""

import secrets
import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from random import SystemRandom

import msgspec
import structlog

from mobilesync.api.app import create_api
from mobilesync.api.keys import ApiKeys
from mobilesync.api.options import ApiOptions
from mobilesync.api.server import ApiServer, serve_api
from mobilesync.cli.configuration import Configuration
from mobilesync.cli.control import STORE_NAME, Control
from mobilesync.cli.development import (
    APP,
    NAME,
    Development,
    read_development,
    write_development,
)
from mobilesync.cli.failures import CommandFailed
from mobilesync.cli.push_services import make_gateways
from mobilesync.cli.safety import check_safety
from mobilesync.cli.settings import Settings
from mobilesync.domain.sync_config import DAY_S
from mobilesync.engine.apps import App, Apps, SecretKey
from mobilesync.engine.audit import Audit
from mobilesync.engine.clock import SystemClock
from mobilesync.engine.options import (
    AuditOptions,
    PublisherLimits,
    SchedulerOptions,
    ServiceOptions,
    SessionOptions,
    WakeUpOptions,
    WebhookOptions,
)
from mobilesync.engine.push_gateway import PushGateway
from mobilesync.engine.service import Service
from mobilesync.engine.tokens import Tokens
from mobilesync.storage.embedded.folder import make_folder
from mobilesync.storage.embedded.opening import open_embedded
from mobilesync.storage.embedded.options import EmbeddedOptions
from mobilesync.storage.embedded.store import EmbeddedStore
from mobilesync.transports.certificates import (
    CertificateFiles,
    development_certificate,
    reload,
    server_tls_context,
)
from mobilesync.transports.courier import HttpCourier
from mobilesync.transports.jwks import FetchedKeys
from mobilesync.transports.tls import TlsGateway
from mobilesync.transports.user_check import UserCallbacks

log = structlog.get_logger(__name__)

API_GRACE_S = 5.0
_SECRET_BYTES = 32


class Server:
    """One server. `start`, then serve on the running loop, then `stop`."""

    def __init__(self, configuration: Configuration) -> None:
        self.settings = configuration.settings
        self._apps = list(configuration.apps)
        self._mss = configuration.mss
        self._push = configuration.push
        self._clock = SystemClock()
        self._entropy = SystemRandom()
        self._ends = AsyncExitStack()
        self._service: Service | None = None
        self._contexts: list[ssl.SSLContext] = []
        self.development: Development | None = None
        """How to reach it, if it is for development and started."""
        self.port = 0
        self.api_port = 0

    @property
    def api_url(self) -> str:
        """Where the API answers on this machine."""
        return _url(
            "https" if self.settings.api_tls else "http", self.settings.api_host, self.api_port
        )

    async def start(self) -> None:
        """Open everything; devices and businesses are served when it returns.

        Raises MobilesyncError, CommandFailed when an address cannot be had.
        """
        check_safety(self.settings, self._apps)
        try:
            await self._start()
        except BaseException:
            await self._ends.aclose()
            raise

    async def stop(self) -> None:
        """Drain and close, within about `drain_s` and some seconds. Idempotent."""
        service, self._service = self._service, None
        if service is not None:
            log.info("draining", sessions=len(service.sessions), within_s=self.settings.drain_s)
            await service.drain(self.settings.drain_s)
        await self._ends.aclose()

    def renew_certificate(self) -> None:
        """Serve new connections, of devices and of the API, with what the certificate's files
        hold now. Raises InvalidRequest, and goes on with the old one.
        """
        now_ms = self._clock.wall_ms()
        files = self._certificate_files(now_ms)
        for context in self._contexts:
            reload(context, files, now_ms)

    async def _start(self) -> None:
        settings = self.settings
        # The store's files are only as private as this folder.
        make_folder(settings.data, 0o700)
        store = await self._open_store()
        secret = self._demo_app() if not self._apps else ""
        options = service_options(settings)
        audit = Audit(store, self._clock, options.audit)
        keys = ApiKeys(store, clock=self._clock, random_bytes=secrets.token_bytes, audit=audit)
        await keys.load()
        if settings.development_key:
            api_key = await keys.development_key()
        else:
            api_key = ""
            await keys.forget_development_key()
        service = await self._start_service(store, options, audit)
        self.port = (await self._open_gateway(service)).port
        api = await self._open_api(service, keys)
        self.api_port = api.port
        control = Control(settings.data, store, keys)
        await control.start()
        self._ends.push_async_callback(control.close)
        if settings.mode == "development":
            self._leave_development(secret, api_key)
        else:
            (settings.data / NAME).unlink(missing_ok=True)
        self._service = service

    async def _open_store(self) -> EmbeddedStore:
        settings = self.settings
        options = EmbeddedOptions(
            durability=settings.durability,
            queue_bytes_max=settings.queue_bytes_max,
            block_cache_bytes=settings.block_cache_bytes,
        )
        folder = settings.data / STORE_NAME
        store = await open_embedded(folder, random=self._entropy, options=options)
        self._ends.push_async_callback(store.close)
        return store

    async def _start_service(
        self, store: EmbeddedStore, options: ServiceOptions, audit: Audit
    ) -> Service:
        source = FetchedKeys(self._clock)
        self._ends.push_async_callback(source.close)
        courier = HttpCourier()
        self._ends.push_async_callback(courier.close)
        apps = Apps(self._apps)
        leeway_s = self.settings.token_leeway_s
        callbacks = UserCallbacks(apps, clock=self._clock, entropy=self._entropy)
        self._ends.push_async_callback(callbacks.close)
        gateways = self._push_gateways()
        service = Service(
            store,
            apps,
            Tokens(apps, self._clock, source, leeway_s=leeway_s),
            clock=self._clock,
            entropy=self._entropy,
            options=options,
            audit=audit,
            user_check=callbacks,
            gateways=gateways,
            courier=courier,
        )
        await service.start()
        self._ends.push_async_callback(service.stop)
        return service

    def _push_gateways(self) -> dict[str, list[PushGateway]]:
        made: dict[str, list[PushGateway]] = {}
        for app, services in self._push.items():
            made[app] = make_gateways(services, clock=self._clock, entropy=self._entropy)
            for gateway in made[app]:
                self._ends.push_async_callback(gateway.close)
        return made

    async def _open_gateway(self, service: Service) -> TlsGateway:
        context = self._tls_context()
        host, port = self.settings.host, self.settings.port
        gateway = TlsGateway(
            service.sessions, context, host=host, port=port, metrics=service.metrics
        )
        try:
            await gateway.start()
        except OSError as error:
            raise _no_address("devices", host, port, error) from None
        self._ends.push_async_callback(gateway.close)
        return gateway

    async def _open_api(self, service: Service, keys: ApiKeys) -> ApiServer:
        settings = self.settings
        # A batch as base64, and as much again for its JSON.
        body_bytes_max = max(ApiOptions().body_bytes_max, 2 * settings.batch_bytes_max)
        bodies_bytes_max = max(ApiOptions().bodies_bytes_max, 2 * body_bytes_max)
        options = ApiOptions(
            body_bytes_max=body_bytes_max,
            bodies_bytes_max=bodies_bytes_max,
            metrics_public=settings.metrics_public,
            access_log=settings.access_log,
            mss=self._mss,
        )
        host, port = settings.api_host, settings.api_port
        try:
            api = await serve_api(
                create_api(service, keys, options),
                host,
                port,
                tls=self._tls_context(alpn=("http/1.1",)) if settings.api_tls else None,
            )
        except OSError as error:
            raise _no_address("the API", host, port, error) from None
        self._ends.push_async_callback(api.stop, API_GRACE_S)
        return api

    def _tls_context(self, **options: tuple[str, ...]) -> ssl.SSLContext:
        now_ms = self._clock.wall_ms()
        context = server_tls_context(self._certificate_files(now_ms), now_ms, **options)
        self._contexts.append(context)
        return context

    def _certificate_files(self, now_ms: int) -> CertificateFiles:
        settings = self.settings
        if settings.tls_certificate:
            return CertificateFiles(Path(settings.tls_certificate), Path(settings.tls_key))
        assert settings.mode == "development", "safety.py refuses it in production"
        return development_certificate(settings.data, now_ms)

    def _demo_app(self) -> str:
        """Define the app of a server without any; answers the secret of its tokens."""
        left = read_development(self.settings.data)
        secret = (left.hs256_secret if left else "") or secrets.token_hex(_SECRET_BYTES)
        self._apps.append(App(APP, (SecretKey(secret.encode()),)))
        return secret

    def _leave_development(self, secret: str, api_key: str) -> None:
        self.development = Development(
            app=self._apps[0].name,
            hs256_secret=secret,
            host=_reachable(self.settings.host),
            port=self.port,
            certificate=str(self._certificate_files(self._clock.wall_ms()).certificate.absolute()),
            api_url=self.api_url,
            api_key=api_key,
        )
        write_development(self.settings.data, self.development)
        self._ends.callback(self._take_address_back)

    def _take_address_back(self) -> None:
        """Else tools would look for the server where it is no longer; the secret stays."""
        assert self.development is not None
        stopped = msgspec.structs.replace(self.development, port=0, api_url="", api_key="")
        write_development(self.settings.data, stopped)


def service_options(settings: Settings) -> ServiceOptions:
    """The engine's knobs as the operator set them."""
    return ServiceOptions(
        publisher=PublisherLimits(
            payload_bytes_max=settings.payload_bytes_max,
            batch_items_max=settings.batch_items_max,
            batch_bytes_max=settings.batch_bytes_max,
            rate_per_s=settings.publish_rate_per_s,
            burst=settings.publish_burst,
        ),
        session=SessionOptions(
            sessions_max=settings.sessions_max,
            logins_max=settings.logins_max,
            hello_timeout_s=settings.hello_timeout_s,
            beat_min_s=settings.beat_min_s,
            beat_max_s=settings.beat_max_s,
            window_bytes=settings.window_bytes,
            window_count=settings.window_count,
            ack_timeout_s=settings.ack_timeout_s,
        ),
        audit=AuditOptions(age_s=settings.audit_days * DAY_S),
        wake_ups=WakeUpOptions(again_after_s=settings.wake_up_again_s),
        scheduler=SchedulerOptions(count_max=settings.scheduled_max),
        webhooks=WebhookOptions(
            queue_max=settings.webhook_queue_max,
            age_max_s=settings.webhook_age_max_s,
            plain_loopback=settings.mode == "development",
        ),
        create_biz_on_first_use=settings.create_biz_on_first_use,
    )


def _no_address(whose: str, host: str, port: int, error: OSError) -> CommandFailed:
    hint = "is another server running there? Choose another port, or 0 for a free one"
    reason = error.strerror or str(error)
    message = f"cannot listen for {whose} on {host} port {port}: {reason}"
    return CommandFailed(message, hint=hint, code="ADDRESS")


def _reachable(host: str) -> str:
    """Under which name this machine reaches what listens at `host`."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 # not bound
    return everywhere.get(host, host)


def _url(scheme: str, host: str, port: int) -> str:
    name = _reachable(host)
    return f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"
