"""An application of your own around Twofold: one client for its whole life, errors that say why.

    pip install twofold fastapi uvicorn
    TWOFOLD_URL=http://127.0.0.1:8000 uvicorn --app-dir examples fastapi_app:app --port 8100
    curl '127.0.0.1:8100/answers?q=how+hot+is+the+oven'

Run as a program, it starts itself on a free port, asks itself a question, and stops.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from twofold import AsyncClient, TwofoldError
from twofold.errors import InvalidRequest
from twofold.schema import DocumentText

COLLECTION = "fastapi-example"
NOTES = {
    "oven": "The oven has 250 degrees when the bread goes in, and 210 after ten minutes.",
    "rye": "Rye dough rests for two hours and is shaped with wet hands.",
}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connections are opened once, kept for all requests, and closed at the end."""
    async with AsyncClient() as twofold:
        await twofold.add_texts(
            [DocumentText(id=name, text=text) for name, text in NOTES.items()],
            collection=COLLECTION,
            wait=60,
        )
        app.state.twofold = twofold
        yield


app = FastAPI(title="Bakery", lifespan=lifespan)


class Passage(BaseModel):
    """What this application tells its users of a result."""

    text: str
    source: str
    score: float


class Answers(BaseModel):
    """Passages, and whether the second stage has put them in order."""

    passages: list[Passage]
    reranked: bool


@app.get("/answers")
async def answers(request: Request, q: str, limit: int = 3) -> Answers:
    """The passages that answer a question."""
    twofold: AsyncClient = request.app.state.twofold
    response = await twofold.search(q, collection=COLLECTION, limit=limit, deadline_ms=5_000)
    return Answers(
        passages=[
            Passage(text=result.text, source=result.name, score=result.score)
            for result in response.results
        ],
        reranked=response.rerank.status == "applied",
    )


@app.exception_handler(TwofoldError)
async def say_why(_: Request, error: TwofoldError) -> JSONResponse:
    """Twofold's own sentence, which says what to do, with a status of this application."""
    status = 422 if isinstance(error, InvalidRequest) else 503
    return JSONResponse({"detail": error.message, "code": error.code}, status)


async def main() -> None:
    """Serve, ask, stop."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    async with httpx.AsyncClient(base_url=url, timeout=90) as browser:
        for question in ("how hot is the oven?", ""):
            answer = await browser.get("/answers", params={"q": question, "limit": 1})
            print(f"GET /answers?q={question!r}: {answer.status_code} {answer.json()}")
    server.should_exit = True
    await serving


if __name__ == "__main__":
    asyncio.run(main())
