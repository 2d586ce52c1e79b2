"""Serve an ASGI application on loopback for the length of a block."""

import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import uvicorn
from starlette.types import ASGIApp


@asynccontextmanager
async def serving(app: ASGIApp, *, tls: ssl.SSLContext | None = None) -> AsyncGenerator[str]:
    """Give the address, `http://127.0.0.1:PORT`; with TLS, `https://localhost:PORT`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, lifespan="off", log_config=None, ws="none")
        config.load()
        config.ssl = tls
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server._serve, [listener])  # pyright: ignore[reportPrivateUsage]
            try:
                port = listener.getsockname()[1]
                yield f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
            finally:
                server.should_exit = True
