"""The setting `none`."""

import pytest

from pipelines.ports import RerankRequest
from pipelines.rerank.disabled import DisabledReranker

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("passages", [(), ("a", "b")])
async def test_every_answer_says_that_there_is_no_second_stage(passages: tuple[str, ...]) -> None:
    reranker = DisabledReranker()
    outcome = await reranker.rerank(RerankRequest("query", passages, deadline=0.0))
    assert reranker.model is None
    assert outcome.status == "disabled"
    assert (len(outcome.scores), outcome.scored) == (len(passages), 0)
    assert outcome.reason
    await reranker.close()
