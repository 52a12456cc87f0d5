"""Both clients over a fake transport: what they send, what they raise, when they try again."""

import asyncio
import inspect
import json
import struct
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twofold import AsyncClient, Client
from twofold.answers import Events
from twofold.calls import SearchOptions
from twofold.errors import (
    ConfigurationError,
    ConnectionFailed,
    DocumentNotFound,
    InvalidRequest,
    ModelUnavailable,
    TooManyRequests,
    TwofoldError,
    Unavailable,
    UnexpectedResponse,
)
from twofold.schema import (
    Condition,
    DocumentText,
    Readiness,
    RerankReport,
    SearchRequest,
    SearchResponse,
    Timings,
)
from twofold.uploads import batches

URL = "http://twofold.test"
NOW = "2026-01-01T00:00:00Z"
FOUND = SearchResponse(
    results=[],
    rerank=RerankReport(status="disabled", scored=0, depth=0, ms=0),
    timings_ms=Timings(),
    candidates=0,
)

Handler = Callable[[httpx.Request], httpx.Response]


def document(document_id: str = "d1", status: str = "ready", **fields: object) -> dict[str, object]:
    return {
        "id": document_id,
        "collection": "default",
        "name": f"{document_id}.md",
        "media_type": "text/markdown",
        "size": 1,
        "sha256": "0" * 64,
        "version": 1,
        "status": status,
        "created_at": NOW,
        "updated_at": NOW,
        **fields,
    }


def refusal(status: int, code: str, headers: dict[str, str] | None = None) -> httpx.Response:
    error = {"code": code, "message": "No.", "details": {"a": 1}, "request_id": "r1"}
    return httpx.Response(status, json={"error": error}, headers=headers)


def found(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, text=FOUND.model_dump_json())


class Script:
    """Answers with the given responses or errors in turn, the last one for ever."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        if not answer.is_closed:  # a stream, which is good for one client
            return answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.fixture(params=["Client", "AsyncClient"])
def ask(request):
    """Call a method of either client over a transport; iterators come back as lists."""

    def blocking(handler, use, **options):
        with Client(URL, transport=httpx.MockTransport(handler), **options) as client:
            answer = use(client)
            return list(answer) if isinstance(answer, Iterator) else answer

    def awaiting(handler, use, **options):
        async def main():
            transport = httpx.MockTransport(handler)
            async with AsyncClient(URL, transport=transport, **options) as client:
                answer = use(client)
                if isinstance(answer, AsyncIterator):
                    return [each async for each in answer]
                return await answer

        return asyncio.run(main())

    return blocking if request.param == "Client" else awaiting


# --- What is sent ---------------------------------------------------------------------------


def test_both_clients_have_the_same_methods_with_the_same_arguments():
    def surface(client: type) -> dict[str, list[str]]:
        methods = inspect.getmembers(client, inspect.isfunction)
        return {
            name.removeprefix("a") if name == "aclose" else name: list(
                inspect.signature(method).parameters
            )
            for name, method in methods
            if not name.startswith("_")
        }

    assert surface(Client) == surface(AsyncClient)


@pytest.mark.parametrize("document_id", ["a/b", "a?b#c", "100%", "a%2Fb", "..", ".", "道/ö", " "])
def test_any_string_is_a_document_id_and_stays_one_segment_of_the_path(ask, document_id):
    server = Script(httpx.Response(200, json=document(document_id)))
    answer = ask(server, lambda client: client.document(document_id, collection="manuals"))

    url = server.requests[0].url
    segments = url.raw_path.partition(b"?")[0].split(b"/")
    assert len(segments) == 3
    assert url.path == f"/documents/{document_id}"
    assert url.params["collection"] == "manuals"
    assert answer.id == document_id


def test_an_empty_document_id_never_reaches_the_server(ask):
    server = Script(httpx.Response(200))
    with pytest.raises(InvalidRequest):
        ask(server, lambda client: client.delete(""))
    assert server.requests == []


def test_a_search_sends_what_the_caller_has_set_and_leaves_the_rest_to_the_server(ask):
    server = Script(found(httpx.Request("GET", URL)))
    answer = ask(
        server,
        lambda client: client.search(
            "bows", limit=5, rerank={"depth": 20}, filter=Condition(key="year", in_=[2020])
        ),
    )
    assert json.loads(server.requests[0].content) == {
        "query": "bows",
        "limit": 5,
        "rerank": {"depth": 20},
        "filter": {"key": "year", "in": [2020]},
    }
    assert answer == FOUND


def test_a_whole_search_request_can_be_sent_and_amended(ask):
    server = Script(found(httpx.Request("GET", URL)))
    request = SearchRequest(query="bows", filter={"not": {"key": "draft", "eq": True}})
    ask(server, lambda client: client.search(request, limit=3))
    assert json.loads(server.requests[0].content) == {
        "query": "bows",
        "limit": 3,
        "filter": {"not": {"key": "draft", "eq": True}},
    }


@pytest.mark.parametrize(
    ("options", "field"),
    [({"limit": -1}, "limit"), ({"limt": 1}, "limt"), ({"rerank": {"depth": 0}}, "rerank.depth")],
)
def test_a_wrong_option_is_named_before_anything_is_sent(ask, options, field):
    server = Script(httpx.Response(200))
    with pytest.raises(InvalidRequest, match=f"'{field}'"):
        ask(server, lambda client: client.search("bows", **options))
    assert server.requests == []


def test_files_travel_under_their_names_with_collection_and_metadata(ask, tmp_path):
    (tmp_path / "a.md").write_text("# A")
    (tmp_path / "b.txt").write_text("B")
    accepted = {"documents": [document("a", verdict="created")]}
    server = Script(httpx.Response(202, json=accepted))
    answer = ask(
        server,
        lambda client: client.add_files(
            {"guides/ä.md": tmp_path / "a.md", "b.txt": tmp_path / "b.txt"},
            collection="manuals",
            metadata={"year": 2020, "tags": ["x"]},
        ),
    )
    body = server.requests[0].content.decode()
    for part in (
        'name="collection"\r\n\r\nmanuals',
        'name="metadata"\r\n\r\n{"year": 2020, "tags": ["x"]}',
        'name="files"; filename="guides/ä.md"',
        "# A",
        'name="files"; filename="b.txt"',
    ):
        assert part in body
    assert [each.verdict for each in answer.documents] == ["created"]


def test_a_single_path_is_one_file_and_not_its_letters(ask, tmp_path):
    path = tmp_path / "ab"
    path.write_text("x")
    server = Script(httpx.Response(202, json={"documents": []}))
    ask(server, lambda client: client.add_files(str(path)))
    assert b'filename="ab"' in server.requests[0].content


def test_two_files_of_one_name_are_refused_because_one_would_replace_the_other(ask, tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "readme.md").write_text(folder)
    paths = sorted(tmp_path.glob("*/readme.md"))
    with pytest.raises(InvalidRequest, match="same name"):
        ask(Script(httpx.Response(202)), lambda client: client.add_files(paths))


def test_many_files_go_in_several_requests_and_come_back_as_one_answer(ask, tmp_path):
    files = {f"{number}.txt": tmp_path / "same" for number in range(150)}
    (tmp_path / "same").write_text("x")

    def accept(request: httpx.Request) -> httpx.Response:
        names = [
            line.split(b'filename="')[1].split(b".txt")[0].decode()
            for line in request.content.split(b"\r\n")
            if b"filename=" in line
        ]
        documents = [document(name, verdict="created") for name in names]
        rejected = [{"name": names[0], "error": {"code": "empty", "message": "It is empty."}}]
        return httpx.Response(202, json={"documents": documents[1:], "rejected": rejected})

    answer = ask(accept, lambda client: client.add_files(files))
    assert len(answer.rejected) == 3
    assert {each.id for each in answer.documents} | {each.name for each in answer.rejected} == {
        str(number) for number in range(150)
    }


def test_a_file_is_read_while_it_is_sent_and_never_whole(tmp_path):
    path = tmp_path / "big.bin"
    path.write_bytes(bytes(1_000_000))

    class Counting(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            self.pieces = [len(piece) for piece in request.stream]
            self.length = int(request.headers["Content-Length"])
            return httpx.Response(202, json={"documents": []})

    transport = Counting()
    with Client(URL, transport=transport) as client:
        client.add_files([path])
    assert sum(transport.pieces) == transport.length > 1_000_000
    assert max(transport.pieces) <= 65_536


def test_an_upload_tells_how_much_of_it_has_been_sent(ask, tmp_path):
    sizes = {"small.md": 10, "large.pdf": 9_000_000, "empty.txt": 0}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(b"x" * size)
    paths, told = [tmp_path / name for name in sizes], []
    accepted = httpx.Response(202, json={"documents": []})
    # The server is away once, so that the first request is sent twice.
    server = Script(refusal(503, "unavailable"), accepted)
    ask(server, lambda client: client.add_files(paths, on_sent=told.append), backoff=0.01)
    assert {each.total for each in told} == {9_000_010}
    assert told[-1].sent == 9_000_010
    assert max(each.sent for each in told) == 9_000_010, "what is sent again is not counted twice"
    assert {each.name for each in told} >= {"small.md", "large.pdf"}
    assert len(told) > 100


def test_vectors_come_as_they_were_sent(ask):
    encoded = b64encode(struct.pack("<3f", 0.5, -0.25, 1.0)).decode()
    row = {"object": "embedding", "index": 0, "embedding": encoded, "truncated": True}
    server = Script(httpx.Response(200, json={"object": "list", "model": "m", "data": [row]}))
    answer = ask(server, lambda client: client.embed(["oats"], kind="query", deadline_ms=2_000))
    assert answer.data[0].embedding == [0.5, -0.25, 1.0]
    assert answer.data[0].truncated
    [request] = server.requests
    assert request.headers["X-Deadline-Ms"] == "2000"
    assert json.loads(request.content) == {
        "input": ["oats"],
        "input_type": "query",
        "encoding_format": "base64",
    }


def test_a_key_is_made_once_and_revoked_by_id(ask):
    key = {"id": "0" * 12, "name": "ci", "tenant": "a", "scopes": ["read"], "created_at": NOW}
    away = Script(httpx.ConnectError("away"))
    with pytest.raises(ConnectionFailed):
        ask(away, lambda client: client.create_key("ci"))
    assert len(away.requests) == 1, "a second request would make a second key"
    made = Script(httpx.Response(201, json={**key, "key": "tf_x"}))
    assert ask(made, lambda client: client.create_key("ci", expires_in_days=7)).key == "tf_x"
    assert json.loads(made.requests[0].content)["expires_in_days"] == 7
    revoked = Script(httpx.Response(200, json=key))
    assert ask(revoked, lambda client: client.revoke_key("../x")).name == "ci"
    assert revoked.requests[0].url.raw_path == b"/keys/..%2Fx"


def test_texts_travel_as_json(ask):
    server = Script(httpx.Response(202, json={"documents": []}))
    texts = [DocumentText(id="1", text="one", metadata={"k": True})]
    ask(server, lambda client: client.add_texts(texts, collection="manuals"))
    assert json.loads(server.requests[0].content) == {
        "documents": [{"id": "1", "text": "one", "metadata": {"k": True}}],
        "collection": "manuals",
    }


def test_the_key_travels_in_the_header_and_may_come_from_the_environment(ask, monkeypatch):
    server = Script(found(httpx.Request("GET", URL)))
    ask(server, lambda client: client.search("bows"), api_key="given")
    monkeypatch.setenv("TWOFOLD_API_KEY", "from the environment")
    ask(server, lambda client: client.search("bows"))
    keys = [request.headers["Authorization"] for request in server.requests]
    assert keys == ["Bearer given", "Bearer from the environment"]


def test_the_server_may_come_from_the_environment_and_lie_under_a_path(monkeypatch):
    monkeypatch.setenv("TWOFOLD_URL", "http://proxy.test/twofold/")
    server = Script(found(httpx.Request("GET", URL)))
    with Client(transport=httpx.MockTransport(server)) as client:
        client.search("bows")
    assert str(server.requests[0].url) == "http://proxy.test/twofold/search"


def test_an_address_that_is_none_is_refused_in_a_sentence():
    with pytest.raises(ConfigurationError, match="http://host:port"):
        Client("http://host:port")


# --- What is raised -------------------------------------------------------------------------


def test_the_error_of_the_server_is_raised_as_its_class(ask):
    with pytest.raises(DocumentNotFound, match="No") as caught:
        ask(Script(refusal(404, "document_not_found")), lambda client: client.document("d1"))
    assert caught.value.details == {"a": 1}
    assert caught.value.request_id == "r1"


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(404, text="<h1>nginx</h1>"),
        httpx.Response(200, text="<h1>Welcome</h1>"),
        httpx.Response(200, json={"results": "none"}),
        httpx.Response(200, content=b"\xff\xfe"),
        httpx.Response(400, json={"error": "a string"}),
        httpx.Response(307, headers={"Location": "https://elsewhere.test"}),
        httpx.Response(500),
    ],
)
def test_an_answer_that_is_not_ours_says_who_gave_it(ask, response):
    with pytest.raises(UnexpectedResponse) as caught:
        ask(Script(response), lambda client: client.search("bows"))
    assert caught.value.details["url"] == f"{URL}/search"
    assert caught.value.details["status"] == response.status_code


def transport_errors(root: type[httpx.RequestError]) -> list[type[httpx.RequestError]]:
    below = root.__subclasses__()
    return [each for kind in below for each in transport_errors(kind)] if below else [root]


@pytest.mark.parametrize("kind", transport_errors(httpx.RequestError))
def test_no_error_of_the_transport_escapes_unmapped(ask, kind):
    for use in (lambda client: client.health(), lambda client: client.events("d1")):
        with pytest.raises(ConnectionFailed, match=URL):
            ask(Script(kind("cable cut")), use, backoff=0)


def test_a_server_that_is_not_ready_is_an_answer_and_not_an_error(ask):
    report = {"ready": False, "parts": {"store": "is being rebuilt"}, "embedder": "m"}
    answer = ask(
        Script(httpx.Response(503, json={**report, "reranker": None})),
        lambda client: client.ready(),
    )
    assert answer == Readiness(**report, reranker=None)


# --- When it is tried again -----------------------------------------------------------------


@pytest.mark.parametrize(
    "passing",
    [
        refusal(503, "unavailable"),
        refusal(503, "model_unavailable"),
        refusal(429, "too_many_requests", {"Retry-After": "0"}),
        httpx.Response(502, text="<h1>Bad gateway</h1>"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
    ],
)
def test_a_failure_that_passes_is_tried_again(ask, passing):
    server = Script(passing, passing, found(httpx.Request("GET", URL)))
    assert ask(server, lambda client: client.search("bows"), backoff=0) == FOUND
    assert len(server.requests) == 3


def test_an_upload_that_is_tried_again_is_sent_whole(ask, tmp_path):
    (tmp_path / "a.md").write_text("# A")
    server = Script(httpx.ReadError("reset"), httpx.Response(202, json={"documents": []}))
    ask(server, lambda client: client.add_files([tmp_path / "a.md"]), backoff=0)
    assert [b"# A" in request.content for request in server.requests] == [True, True]


def test_tries_are_bounded_and_the_last_failure_is_the_one_raised(ask):
    server = Script(httpx.ConnectError("refused"), refusal(503, "model_unavailable"))
    with pytest.raises(ModelUnavailable):
        ask(server, lambda client: client.search("bows"), retries=2, backoff=0)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "use", [lambda client: client.delete("d1"), lambda client: client.retry("d1")]
)
def test_what_is_not_the_same_twice_is_not_tried_again(ask, use):
    server = Script(refusal(503, "unavailable"))
    with pytest.raises(Unavailable):
        ask(server, use, backoff=0)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "lasting", [refusal(422, "invalid"), refusal(504, "deadline_exceeded"), httpx.Response(500)]
)
def test_a_failure_that_lasts_is_not_tried_again(ask, lasting):
    server = Script(lasting)
    with pytest.raises(TwofoldError):
        ask(server, lambda client: client.search("bows"), backoff=0)
    assert len(server.requests) == 1


def test_nobody_waits_for_a_server_that_asks_for_more_time_than_there_is(ask):
    hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    for header, at_least in (("3600", 3_600), (hour, 3_500)):
        server = Script(refusal(429, "too_many_requests", {"Retry-After": header}))
        with pytest.raises(TooManyRequests) as caught:
            ask(server, lambda client: client.search("bows"))
        assert caught.value.retry_after is not None
        assert caught.value.retry_after >= at_least
        assert len(server.requests) == 1


@pytest.mark.parametrize("header", ["soon", "-1", "Wed, 21 Oct 2015 07:28:00 -0000", "1e9"])
def test_a_retry_after_that_says_nothing_is_ignored(ask, header):
    server = Script(refusal(503, "unavailable", {"Retry-After": header}), found(None))
    assert ask(server, lambda client: client.search("bows"), backoff=0) == FOUND


# --- What takes several requests ------------------------------------------------------------


def test_documents_are_read_page_by_page(ask):
    server = Script(
        httpx.Response(200, json={"documents": [document("1"), document("2")], "cursor": "c"}),
        httpx.Response(200, json={"documents": [document("3")], "cursor": None}),
    )
    listed = ask(server, lambda client: client.documents("manuals", status=["failed", "queued"]))
    assert [each.id for each in listed] == ["1", "2", "3"]
    assert [request.url.params.multi_items() for request in server.requests] == [
        [("collection", "manuals"), ("status", "failed"), ("status", "queued")],
        [("collection", "manuals"), ("status", "failed"), ("status", "queued"), ("cursor", "c")],
    ]


def test_pages_of_a_search_follow_the_cursor_with_the_same_request(ask):
    def page(cursor: str | None) -> httpx.Response:
        return httpx.Response(200, json=FOUND.model_dump(mode="json") | {"cursor": cursor})

    server = Script(page("c.2"), page("c.3"), page(None))
    request = SearchRequest(query="bows", offset=1)
    pages = ask(server, lambda client: client.search_pages(request, limit=1))
    assert [each.cursor for each in pages] == ["c.2", "c.3", None]
    sent = [json.loads(request.content) for request in server.requests]
    assert sent == [
        {"query": "bows", "limit": 1, "offset": 1, "pages": True},
        {"query": "bows", "limit": 1, "offset": 0, "cursor": "c.2"},
        {"query": "bows", "limit": 1, "offset": 0, "cursor": "c.3"},
    ]


def test_searches_of_a_batch_keep_their_order_and_their_errors(ask):
    failed = {"error": {"code": "collection_not_found", "message": "No collection 'x'."}}
    answers = [{"response": FOUND.model_dump(mode="json")}, failed]
    server = Script(httpx.Response(200, json={"answers": answers}))
    first, second = ask(
        server,
        lambda client: client.search_batch(["bows", SearchRequest(query="q", collection="x")]),
    )
    assert json.loads(server.requests[0].content) == {
        "searches": [{"query": "bows"}, {"query": "q", "collection": "x"}]
    }
    assert (first.response, first.error) == (FOUND, None)
    assert (second.response, second.error.code) == (None, "collection_not_found")


def test_texts_to_rerank_are_sent_with_their_deadline(ask):
    results = [{"index": 1, "relevance_score": 0.9, "truncated": True}]
    server = Script(httpx.Response(200, json={"model": "m", "results": results}))
    answer = ask(
        server,
        lambda client: client.rerank("bows", ["ash", "yew"], top_n=1, deadline_ms=2_000),
    )
    [request] = server.requests
    assert request.headers["X-Deadline-Ms"] == "2000"
    assert json.loads(request.content) == {
        "query": "bows",
        "documents": ["ash", "yew"],
        "top_n": 1,
        "instruction": None,
        "return_documents": False,
    }
    assert answer.model == "m"
    assert [(each.index, each.truncated) for each in answer.results] == [(1, True)]


def test_the_options_of_a_search_are_the_fields_of_a_request():
    assert {*SearchOptions.__annotations__, "query"} == set(SearchRequest.model_fields)


def test_waiting_ends_when_every_document_is_final(ask):
    server = Script(
        httpx.Response(200, json=document("1", "queued")),
        httpx.Response(200, json=document("1", "ready")),
        httpx.Response(200, json=document("2", "failed")),
    )
    done = ask(server, lambda client: client.wait(["1", "2"]))
    assert [each.status for each in done] == ["ready", "failed"]


def test_waiting_ends_when_the_time_is_up_with_the_state_as_it_is(ask):
    server = Script(httpx.Response(200, json=document("1", "parsing", progress=0.5)))
    done = ask(server, lambda client: client.wait(["1"], timeout=0.1))
    assert [(each.status, each.progress, each.final) for each in done] == [("parsing", 0.5, False)]


def test_a_single_state_or_id_stands_for_a_list_of_one(ask):
    server = Script(httpx.Response(200, json={"documents": [], "cursor": None}))
    ask(server, lambda client: client.documents(status="failed"))
    assert server.requests[0].url.params.get_list("status") == ["failed"]

    server = Script(httpx.Response(200, json=document("d1")))
    assert [each.id for each in ask(server, lambda client: client.wait("d1"))] == ["d1"]


def test_an_upload_can_wait_and_keeps_its_verdict(ask, tmp_path):
    (tmp_path / "a.md").write_text("# A")
    server = Script(
        httpx.Response(202, json={"documents": [document("a", "queued", verdict="updated")]}),
        httpx.Response(200, json=document("a", "embedding")),
        httpx.Response(200, json=document("a", "ready", chunks=4)),
    )
    answer = ask(server, lambda client: client.add_files(tmp_path / "a.md", wait=10))
    assert [(each.verdict, each.status, each.chunks) for each in answer.documents] == [
        ("updated", "ready", 4)
    ]


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that arrives in pieces, for either client."""

    def __init__(self, body: bytes, size: int) -> None:
        self._pieces = [body[at : at + size] for at in range(0, len(body), size)]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def sse(*states: dict[str, object], newline: str = "\n") -> bytes:
    lines = [": ping", ""]
    for state in states:
        lines += ["event: document", f"data: {json.dumps(state, ensure_ascii=False)}", ""]
    return newline.join([*lines, ""]).encode()


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_events_are_followed_until_the_document_is_final(ask, newline):
    body = sse(document(status="parsing"), document(status="ready"), newline=newline)
    server = Script(httpx.Response(200, stream=Pieces(body, 7)))
    states = ask(server, lambda client: client.events("d1"))
    assert [state.status for state in states] == ["parsing", "ready"]


def test_a_stream_that_breaks_off_is_an_error_and_not_an_end(ask):
    body = sse(document(status="parsing"), document(status="ready"))[:-20]
    with pytest.raises(ConnectionFailed, match="broke off"):
        ask(Script(httpx.Response(200, stream=Pieces(body, 50))), lambda c: c.events("d1"))


@pytest.mark.parametrize("body", [b"event: document\ndata: {}\n\n", b"x" * 1_100_000])
def test_a_stream_that_is_not_of_documents_is_said_to_be_none(ask, body):
    with pytest.raises(UnexpectedResponse):
        ask(Script(httpx.Response(200, stream=Pieces(body, 65_536))), lambda c: c.events("d1"))


def test_the_stream_is_left_at_the_final_state_whatever_follows(ask):
    body = sse(document(), document(status="parsing"))
    server = Script(httpx.Response(200, stream=Pieces(body, len(sse(document())))))
    assert [each.status for each in ask(server, lambda c: c.events("d1"))] == ["ready"]


def test_an_error_before_the_first_event_is_raised_as_its_class(ask):
    with pytest.raises(DocumentNotFound):
        ask(Script(refusal(404, "document_not_found")), lambda client: client.events("d1"))


@given(size=st.integers(1, 200), name=st.text())
def test_events_do_not_depend_on_how_the_bytes_are_cut(size, name):
    body = sse(document(status="queued", name=name), document(name=name))
    stream = Events(URL)
    states = [state for piece in Pieces(body, size) for state in stream.feed(piece)]
    stream.end()
    assert [(state.status, state.name) for state in states] == [("queued", name), ("ready", name)]


@given(st.lists(st.integers(0, 20)), st.integers(1, 5), st.integers(1, 30))
def test_batches_keep_the_order_and_both_bounds(sizes, max_items, max_bytes):
    made = list(batches(((size, size) for size in sizes), max_items=max_items, max_bytes=max_bytes))
    assert [size for batch in made for size in batch] == sizes
    for batch in made:
        assert 1 <= len(batch) <= max_items
        assert sum(batch) <= max_bytes or len(batch) == 1


def test_the_files_of_a_call_are_closed_again(tmp_path: Path):
    path = tmp_path / "a.md"
    path.write_text("# A")
    with Client(URL, transport=httpx.MockTransport(lambda _: httpx.Response(500))) as client:
        for _ in range(3):
            with pytest.raises(UnexpectedResponse):
                client.add_files(path)
    # An open file would be a ResourceWarning here, and warnings are errors.
