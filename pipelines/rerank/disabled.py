"""No second stage: what the setting `none` chooses."""

from pipelines.ports import RerankOutcome, RerankProfile, RerankRequest


class DisabledReranker:
    """A Reranker without a model: every answer is `disabled`, the recall order stands."""

    model = None
    profile = RerankProfile(depth=0, weight=0.0, calibrated=True)

    async def rerank(self, request: RerankRequest) -> RerankOutcome:
        return RerankOutcome.unscored(
            len(request.passages), "disabled", "this server runs without a reranker"
        )

    async def close(self) -> None:
        """Nothing to let go of."""
