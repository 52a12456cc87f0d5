"""The doctor tells fit servers from faulty ones over real HTTP, and names the fault."""

import io
import socket

import pytest
from rich.console import Console

from tests.support import model_servers as servers
from twofold.doctor import GOLDEN, LANGUAGES, render, run_doctor
from twofold.errors import ConfigurationError

RERANKER_FAULTS = {
    "constant": servers.constant,
    "inverted": servers.inverted,
    "missing_template": servers.without_template,
    "double_sigmoid": servers.double_sigmoid,
    "batch_dependent": servers.wrongly_padded,
    "wrong_index": servers.shuffled,
    "suffix_truncated": servers.without_suffix,
}
EMBEDDER_FAULTS = [
    ("wrong_pooling", servers.first_token_vectors),
    ("wrong_pooling", servers.random_vectors),
    ("batch_dependent", servers.padded_vectors),
    ("wrong_index", servers.rotated_vectors),
]


@pytest.mark.parametrize("dialect", servers.RERANK_ROUTES)
def test_a_healthy_reranker_is_fit_and_its_dialect_is_found(dialect: str) -> None:
    with servers.serve_reranker(servers.healthy, dialect=dialect) as url:
        [verdict] = run_doctor(reranker=url)
    assert verdict.ok, verdict.sentence
    assert f"({dialect})" in verdict.subject
    assert f"TWOFOLD_RERANKER='{dialect}+{url}'" in verdict.notes[-1]
    assert all(row.margin > 0.5 for row in verdict.evidence)
    assert {row.language for row in verdict.evidence} == set(LANGUAGES)


@pytest.mark.parametrize("fault", RERANKER_FAULTS)
def test_each_fault_of_a_reranker_is_named(fault: str) -> None:
    with servers.serve_reranker(RERANKER_FAULTS[fault]) as url:
        [verdict] = run_doctor(reranker=url, dialect="jina")
    assert (verdict.fault, verdict.ok) == (fault, False), verdict.sentence


def test_raw_logits_are_fit_and_mentioned() -> None:
    with servers.serve_reranker(servers.logits) as url:
        [verdict] = run_doctor(reranker=f"jina+{url}")
    assert verdict.ok
    assert any("raw logits" in note for note in verdict.notes)


def test_a_dropped_instruction_is_mentioned() -> None:
    with servers.serve_reranker(servers.healthy) as url:
        [verdict] = run_doctor(reranker=f"jina+{url}")
    assert any("instruction changes nothing" in note for note in verdict.notes)


def test_a_missing_template_is_mended_by_sending_it() -> None:
    with servers.serve_reranker(servers.needs_template, dialect="tei") as url:
        [bare] = run_doctor(reranker=url)
        [mended] = run_doctor(reranker=f"{url}?template=qwen3")
    assert bare.fault == "missing_template"
    assert "?template=qwen3" in bare.sentence
    assert mended.ok, mended.sentence
    assert "template=qwen3'" in mended.notes[-1]


def test_an_english_model_is_fit_and_the_other_languages_are_mentioned() -> None:
    with servers.serve_reranker(servers.english_only) as url:
        [verdict] = run_doctor(reranker=f"jina+{url}")
        [qwen] = run_doctor(reranker=f"jina+{url}?model=Qwen/Qwen3-Reranker-0.6B")
    assert verdict.ok
    assert any("came first in:" in note for note in verdict.notes)
    assert qwen.fault == "missing_template", "a Qwen3 reranker understands them all"


def test_a_qwen3_reranker_that_is_unsure_of_easy_questions_lacks_its_template() -> None:
    with servers.serve_reranker(servers.unsure) as url:
        [other] = run_doctor(reranker=f"jina+{url}?model=bge")
        [qwen] = run_doctor(reranker=f"jina+{url}?model=Qwen/Qwen3-Reranker-8B")
    assert other.ok
    assert qwen.fault == "missing_template"


@pytest.mark.parametrize("dialect", servers.EMBED_ROUTES)
def test_a_healthy_embedder_is_fit_and_its_dialect_is_found(dialect: str) -> None:
    with servers.serve_embedder(servers.healthy_vectors, dialect=dialect) as url:
        [verdict] = run_doctor(embedder=url)
    assert verdict.ok, verdict.sentence
    assert verdict.subject == f"embedder embedder at {url} ({dialect})"


@pytest.mark.parametrize(("fault", "vectors"), EMBEDDER_FAULTS)
def test_each_fault_of_an_embedder_is_named(fault: str, vectors: servers.Vectors) -> None:
    with servers.serve_embedder(vectors) as url:
        [verdict] = run_doctor(embedder=f"openai+{url}")
    assert (verdict.fault, verdict.ok) == (fault, False), verdict.sentence


def test_an_embedder_that_ignores_its_instruction_is_named_where_it_needs_one() -> None:
    name = "Qwen/Qwen3-Embedding-0.6B"
    with servers.serve_embedder(servers.instructed_vectors, model=name) as url:
        [right] = run_doctor(embedder=url)
    with servers.serve_embedder(servers.healthy_vectors, model=name) as url:
        [wrong] = run_doctor(embedder=url)
    assert right.ok, right.sentence
    assert wrong.fault == "missing_instruction"


def test_vectors_of_another_length_are_mentioned() -> None:
    with servers.serve_embedder(servers.long_vectors) as url:
        [verdict] = run_doctor(embedder=url)
    assert verdict.ok
    assert any("lengths from 3 to 3" in note for note in verdict.notes)


def test_a_server_that_is_not_there_gets_a_verdict_and_not_a_traceback() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        [verdict] = run_doctor(reranker=f"{url}?retries=0")
    assert verdict.fault == "unreachable"
    assert url in verdict.sentence


def test_a_server_of_another_kind_is_told_what_was_tried() -> None:
    with servers.serve_embedder(servers.healthy_vectors) as url:
        [verdict] = run_doctor(reranker=url)
    assert verdict.fault == "unreachable"
    for tried in ("jina", "cohere", "tei", "dmr", "HTTP 404"):
        assert tried in verdict.sentence


def test_an_unknown_dialect_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="known are cohere, jina"):
        run_doctor(reranker="http://127.0.0.1:1", dialect="grpc")


def test_the_table_shows_every_question_with_its_margin() -> None:
    with servers.serve_reranker(servers.without_template) as url:
        verdicts = run_doctor(reranker=url)
    page = io.StringIO()
    Console(file=page, width=120).print(render(verdicts))
    text = page.getvalue()
    assert "unfit: missing_template" in text
    assert text.count("✓") + text.count("✗") == len(GOLDEN)
