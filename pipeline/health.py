"""Liveness, readiness and metrics of one worker over HTTP: `/livez`, `/readyz`, `/metrics`.

`/livez` answers as long as the event loop turns. `/readyz` says 503 and why until partitions are assigned and the
database takes reports. On loopback unless the settings say otherwise.
"""

from collections.abc import Callable, Mapping

import structlog
from aiohttp import web
from prometheus_client import REGISTRY
from prometheus_client.exposition import choose_encoder

from pipeline.errors import PortInUse

log = structlog.get_logger(__name__)

Checks = Callable[[], Mapping[str, str | None]]
"""Each condition of readiness by name: None where it holds, else what is missing."""


class Health:
    """The HTTP server; use it as an async context manager. Raises `PortInUse`."""

    def __init__(self, host: str, port: int, checks: Checks) -> None:
        self._host = host
        self._port = port
        self._checks = checks
        app = web.Application()
        app.add_routes(
            [web.get("/livez", self._livez), web.get("/readyz", self._readyz), web.get("/metrics", self._metrics)]
        )
        self._runner = web.AppRunner(app, access_log=None)

    async def __aenter__(self) -> "Health":
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise PortInUse(
                f"the health port {self._host}:{self._port} cannot be listened on ({error.strerror}); "
                "set NEWSQUAKE_PIPELINE_HEALTH_PORT, 0 for any free one"
            ) from error
        log.info("health", url=self.url)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """`http://HOST:PORT`, with the port that is really used."""
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def _livez(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readyz(self, _: web.Request) -> web.Response:
        checks = self._checks()
        missing = {name: why for name, why in checks.items() if why is not None}
        said = {name: why or "ok" for name, why in checks.items()}
        status, code = ("not ready", 503) if missing else ("ok", 200)
        return web.json_response({"status": status, "checks": said}, status=code)

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(REGISTRY), headers={"Content-Type": content_type})
