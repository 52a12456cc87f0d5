"""The API does what its OpenAPI document says, whatever it is asked.

`make fuzz` asks more: see `benchmarks/fuzz_api.py`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from services.api.auth import OPEN
from tests.support.made_up import Api, faults_of, serving

SEED = 20
EACH = 30
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with serving(tmp_path_factory.mktemp("api")) as api:
        yield api


def test_no_request_made_up_from_the_document_is_answered_otherwise_than_it_says(api: Api) -> None:
    found: dict[str, Mapping[str, str]] = {}
    for operation in api.operations():
        tally = api.tries(operation, count=EACH, at=SEED)
        assert tally.statuses, operation.label
        if tally.faults:
            found[operation.label] = tally.faults
    assert not found, json.dumps(found, indent=1, ensure_ascii=False)


def bodies(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Path, status of success and body of each example that the document gives."""
    for path, methods in document["paths"].items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {})
        if "application/json" not in content:
            continue
        success = next(status for status in methods["post"]["responses"] if status[0] == "2")
        for schema in alternatives(content["application/json"]["schema"], document):
            assert schema.get("examples"), f"{path} has a body without an example"
            for body in schema["examples"]:
                yield path, success, body


def alternatives(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[Any]:
    """The schema, or those of which it is one."""
    for each in schema.get("oneOf", [schema]):
        name = each["$ref"].removeprefix("#/components/schemas/")
        yield document["components"]["schemas"][name]


def test_every_body_that_the_document_shows_is_accepted(api: Api) -> None:
    otherwise = {
        "/tokenize": {501},  # the small models of the tests tell no tokens
        # Other requests of these tests may have made a collection of that name.
        "/collections": {201, 409},
        # One collection cannot be rebuilt in two ways at once, nor with a model that is not there.
        "/collections/{name}/rebuild": {202, 409, 422},
    }
    shown = list(bodies(api.document))
    for path, success, body in shown:
        address = path.format(name="handbooks")
        response = api.ask("POST", address, content=json.dumps(body).encode(), headers=JSON)
        assert response.status_code in otherwise.get(path, {int(success)}), (path, response.text)
    assert {path for path, _, _ in shown} == {
        path
        for path, methods in api.document["paths"].items()
        if "requestBody" in methods.get("post", {})
    }


def test_what_is_not_in_the_document_is_no_method_of_its_path(api: Api) -> None:
    for path, methods in api.document["paths"].items():
        address = path.format(document_id="good/x", key_id="0123456789ab", name="good")
        for method in {"get", "put", "post", "patch", "delete"} - set(methods):
            response = api.ask(method.upper(), address)
            # A document's own path matches those that have a tail.
            taken = path.startswith("/documents/") and method in {"get", "delete"}
            assert response.status_code == (404 if taken else 405), (method, address)
            assert response.json()["error"]["code"]
            if not taken:
                allowed = set(response.headers["allow"].lower().split(", "))
                assert set(methods) <= allowed, address
                assert method not in allowed, address


def test_nothing_that_asks_for_a_key_answers_without(api: Api) -> None:
    for path, methods in api.document["paths"].items():
        address = path.format(document_id="good", key_id="0123456789ab", name="good")
        for method, operation in methods.items():
            assert bool(operation["security"]) == (path not in OPEN)
            for key in ("", "Bearer", "Bearer tf_made-up", "Basic Z29vZDpi", "Bearer \xff"):
                headers = {"Authorization": key.encode("latin-1"), **JSON}
                response = api.stranger(method.upper(), address, b"{", headers)
                if operation["security"]:
                    assert response.status_code == 401, (method, path, key)
                    assert response.headers["www-authenticate"] == "Bearer"
                else:
                    assert response.status_code == 200


DEEP = 100_000
BODIES: dict[str, bytes] = {
    "half a surrogate pair": b'{"query": "rye \\ud800 \\udfff", "documents": ["\\udc00"]}',
    "half a pair as a key": b'{"query": "rye", "documents": ["x"], "\\ud800": 1}',
    "NUL": b'{"query": "rye\\u0000bread", "documents": ["\\u0000"]}',
    "NUL bytes": b'{"query": "rye\x00"}',
    "nothing but NUL": bytes(1_000),
    "a number of 5,000 digits": b'{"query": "rye", "limit": ' + b"9" * 5_000 + b"}",
    "a number beyond doubles": b'{"query": "rye", "limit": 1e999, "min_score": -1e999}',
    "not a number": b'{"query": "rye", "min_score": NaN, "documents": ["x"], "top_n": NaN}',
    "infinity": b'{"query": "rye", "min_score": Infinity}',
    "arrays without end": b"[" * DEEP,
    "nested arrays": b"[" * DEEP + b"]" * DEEP,
    "nested objects": b'{"filter":' * DEEP + b"1" + b"}" * DEEP,
    "a nested filter": b'{"query": "rye", "filter": '
    + b'{"not": ' * 900
    + b'{"key": "a", "eq": 1}'
    + b"}" * 901,
    "a key twice": b'{"query": "rye", "query": 7, "documents": ["x"], "documents": null}',
    "UTF-16": '{"query": "rye"}'.encode("utf-16"),
    "UTF-32": '{"query": "rye"}'.encode("utf-32"),
    "a byte order mark": b'\xef\xbb\xbf{"query": "rye", "documents": ["x"]}',
    "Latin-1": '{"query": "Brötchen"}'.encode("latin-1"),
    "overlong UTF-8": b'{"query": "\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"query": "\xed\xa0\x80"}',
    "gzip": b"\x1f\x8b\x08\x00" + bytes(20),
    "two documents": b'{"query": "rye"} {"query": "rye"}',
    "a string": b'"rye"',
    "null": b"null",
    "true": b"true",
    "a list": b'[{"query": "rye"}]',
    "nothing": b"",
    "white space": b" \n\t ",
}
CONTENT_TYPES = (
    b"application/json",
    b"application/json; charset=utf-16",
    b"application/json; charset=no-such-charset",
    b"application/vnd.api+json",
    b"multipart/form-data",
    b"multipart/form-data; boundary=",
    b"multipart/form-data; boundary=" + b"x" * 300,
    b"multipart/form-data; boundary=\xff",
    b"text/plain",
    b"\xff\x00",
    b"",
)


@pytest.mark.parametrize("what", BODIES)
def test_no_body_is_answered_with_a_failure_of_the_server(api: Api, what: str) -> None:
    for path, methods in api.document["paths"].items():
        for method, operation in methods.items():
            if "requestBody" in operation:
                response = api.ask(method.upper(), path, content=BODIES[what], headers=JSON)
                assert not list(faults_of(operation, response)), (path, response.text)
                assert response.status_code < 500 or response.status_code == 501, path


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_no_content_type_is_answered_with_a_failure_of_the_server(
    api: Api, content_type: bytes
) -> None:
    for path in ("/documents", "/search", "/v1/embeddings", "/keys"):
        operation = api.document["paths"][path]["post"]
        for body in (b'{"query": "rye"}', b"--x\r\n\r\n\r\n--x--", b"\xff" * 100):
            headers = {b"content-type": content_type}
            response = api.ask("POST", path, content=body, headers=headers)
            assert not list(faults_of(operation, response)), (path, response.text)
            assert response.status_code < 500, path


HEADERS: tuple[tuple[str, bytes], ...] = (
    ("content-length", b"-1"),
    ("content-length", b"1e3"),
    ("content-length", "²".encode("latin-1")),
    ("content-length", b"9" * 5_000),
    ("content-encoding", b"gzip"),
    ("transfer-encoding", b"chunked, chunked"),
    ("x-request-id", b"\xff\xfe"),
    ("x-request-id", b"x" * 10_000),
    ("x-deadline-ms", b"1e9"),
    ("x-deadline-ms", b"9" * 5_000),
    ("x-deadline-ms", b"\xb2"),
    ("x-api-key", b"\xff" * 100),
    ("host", b"]["),
    ("origin", b"http://[::1"),
    ("accept", b"image/\xff"),
    ("range", b"bytes=5-1"),
    ("cookie", b"=;=\xff"),
    ("expect", b"200-maybe"),
)


@pytest.mark.parametrize(("name", "value"), HEADERS)
def test_no_header_is_answered_with_a_failure_of_the_server(
    api: Api, name: str, value: bytes
) -> None:
    body = json.dumps({"query": "rye", "documents": ["rye"]}).encode()
    for path in ("/v2/rerank", "/documents", "/search"):
        operation = api.document["paths"][path]["post"]
        response = api.ask("POST", path, content=body, headers={**JSON, name: value})
        assert not list(faults_of(operation, response)), (path, response.text)
        assert response.status_code < 500
    assert api.ask("GET", "/documents", headers={name: value}).status_code < 500


@pytest.mark.parametrize(
    "query", ["q=%ff%fe", "q=%00", "q=%ED%A0%80", "limit=%F0", "q=a&q=b", "q=&&&=", "%", "q=%2"]
)
def test_no_query_string_is_answered_with_a_failure_of_the_server(api: Api, query: str) -> None:
    for path in ("/search", "/documents", "/documents/good"):
        operation = api.document["paths"][path.replace("good", "{document_id}")]["get"]
        response = api.ask("GET", f"{path}?{query}")
        assert not list(faults_of(operation, response)), (path, response.text)
        assert response.status_code < 500


@pytest.mark.parametrize(
    "document_id",
    ["a\nb", "\x00", "a\x7f", "..", "a/../b", "./a", "a/content", "b/events", "c/retry"],
)
def test_an_id_that_no_path_could_lead_to_is_refused(api: Api, document_id: str) -> None:
    body = {"documents": [{"id": document_id, "text": "rye"}]}
    response = api.ask("POST", "/documents", content=json.dumps(body).encode(), headers=JSON)
    assert response.status_code == 422
    assert "'documents.0.id'" in response.json()["error"]["message"]
