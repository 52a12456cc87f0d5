"""Requests made up from the OpenAPI document, and what is wrong with what the API says to them.

Schemathesis makes them, right ones and wrong ones, and Hypothesis draws them, from a seed. They
reach the application without a socket, with an API key, and where they name a document or a
collection it is often one that is there. Nothing is shrunk and nothing stops at the first fault:
of each kind of fault the shortest request is kept.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import requests
import schemathesis
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from pydantic import ValidationError
from requests.exceptions import RequestException
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)

from tests.support.keys import make_key
from tests.support.service import running
from twofold.schema import ErrorBody

WAIT_S = 60.0
"""For one answer, which a busy machine may keep waiting."""

BAD = "bad"
THERE = ("good", BAD, "bread/rye/é.md")
"""Documents that are there; the bad one has failed."""
TEXT = b"# Rye\n\nRye is a cereal, and the oven is hot."

RPC = {"$ref": "#/components/schemas/McpAnswer"}
"""How the protocol of `/mcp` refuses, beside our own way."""

CONFORMS = [content_type_conformance, response_headers_conformance, response_schema_conformance]


@dataclass
class Tally:
    """What became of the requests of one operation.

    Attributes:
        faults: What was wrong, with the shortest request that shows it.
        given_up: Times that no more requests could be drawn.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)
    given_up: int = 0

    def add(self, status: int, faults: list[str], told: str) -> None:
        """Count an answer."""
        self.statuses[status] += 1
        for fault in faults:
            self._keep(fault, told)

    def take(self, other: "Tally") -> None:
        """Count what another has counted."""
        self.statuses += other.statuses
        self.given_up += other.given_up
        for fault, told in other.faults.items():
            self._keep(fault, told)

    def _keep(self, fault: str, told: str) -> None:
        if fault not in self.faults or len(told) < len(self.faults[fault]):
            self.faults[fault] = told


class Api:
    """The application with an admin's key, for callers that are not asynchronous."""

    def __init__(self, portal: BlockingPortal, client: httpx.AsyncClient, key: str) -> None:
        self._portal = portal
        self._client = client
        self._key = key
        self.document: dict[str, Any] = self.ask("GET", "/openapi.json").json()
        self.schema = schemathesis.openapi.from_dict(self.document)

    def ask(
        self,
        method: str,
        url: str | httpx.URL,
        *,
        content: bytes | None = None,
        headers: Mapping[Any, str | bytes] | None = None,
    ) -> httpx.Response:
        """The answer to a request; the key goes along."""
        with_key = {**(headers or {}), "Authorization": f"Bearer {self._key}"}
        return self.stranger(method, url, content, with_key)

    def stranger(
        self,
        method: str,
        url: str | httpx.URL,
        content: bytes | None,
        headers: Mapping[Any, str | bytes],
    ) -> httpx.Response:
        """The answer to a request as it is."""
        request = self._client.build_request(method, url, content=content, headers=headers)
        return self._portal.call(partial(self._client.send, request))

    def operations(self) -> Iterator[APIOperation[Any, Any, Any, Any]]:
        """Every operation of the document."""
        for found in self.schema.get_all_operations():
            yield found.ok()

    def tries(self, operation: APIOperation[Any, Any, Any, Any], *, count: int, at: int) -> Tally:
        """What becomes of so many requests to an operation, half of them wrong on purpose."""
        tally = Tally()
        for mode in GenerationMode:

            @seed(at)
            @settings(
                max_examples=-(-count // 2),
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(operation.as_strategy(generation_mode=mode), st.sampled_from((*THERE, None)))
            def one(case: Case, document_id: str | None) -> None:
                self._try(case, document_id, tally)

            try:
                one()
            except Unsatisfiable:  # an operation that takes nothing cannot be asked wrongly
                assert mode is GenerationMode.NEGATIVE
            except RecursionError:  # Hypothesis itself, over filters in filters; others go on
                tally.given_up += 1
        return tally

    def _try(self, case: Case, document_id: str | None, tally: Tally) -> None:
        if document_id is not None:
            name_what_is_there(case, document_id)
        try:
            sent = requests.Request(**case.as_transport_kwargs("http://localhost")).prepare()
            url = httpx.URL(str(sent.url))
        except (RequestException, httpx.InvalidURL, ValueError):
            return  # no client could send it
        method = str(sent.method)
        content = sent.body.encode() if isinstance(sent.body, str) else sent.body
        response = self.ask(method, url, content=content, headers=sent.headers)
        operation = self.document["paths"][case.operation.path][case.operation.method]
        faults = list(faults_of(operation, response)) or misfits(case, response)
        tally.add(response.status_code, faults, f"{method} {url} {content!r}")
        if case.operation.method == "delete" and response.is_success and document_id is not None:
            lay_out(self, document_id)


def name_what_is_there(case: Case, document_id: str) -> None:
    """Let a request of any collection and document be about one that exists."""
    if "document_id" in case.path_parameters:
        case.path_parameters["document_id"] = document_id
    case.query.pop("collection", None)
    if isinstance(case.body, dict):
        if "knowledge_id" in case.body:
            case.body["knowledge_id"] = "default"
        case.body.pop("collection", None)


def faults_of(operation: Mapping[str, Any], response: httpx.Response) -> Iterator[str]:
    """How an answer is none that the document tells of."""
    status = str(response.status_code)
    told = operation["responses"].get(status)
    if told is None:
        yield f"{status} is not documented: {sentence(response)}"
        return
    if "x-request-id" not in response.headers:
        yield "it has no request id"
    content = told.get("content", {}).get("application/json", {})
    if (examples := content.get("examples")) is None:
        return
    if RPC in content["schema"].get("anyOf", ()) and "jsonrpc" in response.json():
        return
    try:
        code = ErrorBody.model_validate_json(response.content).error.code
    except ValidationError:
        yield f"{status} has another body than errors have: {response.text[:300]}"
        return
    if code not in examples:
        yield f"{status} with the code '{code}' is not documented"


def sentence(response: httpx.Response) -> str:
    """What an error says, without what is of this one request."""
    try:
        return ErrorBody.model_validate_json(response.content).error.message
    except ValidationError:
        return response.text[:300]


def misfits(case: Case, response: httpx.Response) -> list[str]:
    """How an answer contradicts the schema that the document has for it."""
    try:
        case.validate_response(response, checks=list(CONFORMS))
    except FailureGroup as group:
        return [f"{each.title}: {each.message}" for each in group.exceptions]
    return []


def lay_out(api: Api, document_id: str) -> None:
    """Upload a document that requests name; also when it has been deleted."""
    name, content = ("x.pdf", b"%PDF-1.4 nothing") if document_id == BAD else ("x.md", TEXT)
    form = httpx.Request(
        "POST", "http://localhost", data={"id": document_id}, files={"files": (name, content)}
    )
    answer = api.ask("POST", "/documents?wait=60", content=form.read(), headers=form.headers)
    assert answer.status_code == 202, answer.text
    [row] = answer.json()["documents"]
    assert row["status"] == ("failed" if document_id == BAD else "ready"), row


@contextmanager
def serving(folder: Path, **options: object) -> Iterator[Api]:
    """The application with keys and some documents, in a thread of its own."""
    keys = folder / "keys.json"
    header = make_key(keys)["Authorization"]
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            running(folder / "data", api_keys_file=keys, **options)
        ) as (client, _),
    ):
        client.timeout = WAIT_S
        api = Api(portal, client, header.removeprefix("Bearer "))
        for document_id in THERE:
            lay_out(api, document_id)
        yield api
