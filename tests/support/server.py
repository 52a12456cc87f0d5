"""Twofold behind a real socket, in a thread of the tests' own process, with small models."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from pipelines.build import Models, embedded
from pipelines.settings import Settings
from services.api.app import create_app
from services.api.shedding import SheddingProtocol
from tests.support.models import WordEmbedder
from tests.support.reranking import OverlapModel

START_S, STOP_S = 60.0, 30.0


class _Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, answers: threading.Event) -> None:
        super().__init__(config)
        self._answers = answers

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._answers.set()


@contextmanager
def threaded_server(
    folder: Path, *, models: Models | None = None, **settings: object
) -> Iterator[str]:
    """Its URL, once it answers; the thread has ended when the context has."""
    listener = socket.create_server(("127.0.0.1", 0))
    answers = threading.Event()
    servers: list[_Server] = []

    async def serve() -> None:
        options = Settings.model_validate({"data_dir": folder, "heartbeat_s": 0.1, **settings})
        chosen = models or Models(WordEmbedder(), OverlapModel())
        async with embedded(options, choose=lambda _: chosen) as twofold:
            app = create_app(twofold)
            config = uvicorn.Config(app, http=SheddingProtocol, log_level="warning", lifespan="off")
            servers.append(_Server(config, answers))
            await servers[0].serve(sockets=[listener])

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="server")
    thread.start()
    try:
        assert answers.wait(START_S), "the server did not start"
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for server in servers:
            server.should_exit = True
        thread.join(STOP_S)
        listener.close()
        assert not thread.is_alive(), "the server did not stop"
