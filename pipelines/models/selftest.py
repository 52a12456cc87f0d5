"""Models test themselves before they serve: the golden questions of `twofold.doctor`.

A checkpoint with random weights fails by nature; so does one that was loaded wrongly, which is
the point.
"""

from collections.abc import Sequence

from pipelines.ports import Embedder, Pairs, RerankModel
from twofold.doctor import LANGUAGES, Language, Verdict, diagnose_embedder, diagnose_reranker
from twofold.errors import ModelUnfit


def check_reranker(model: RerankModel, *, languages: Sequence[Language] = LANGUAGES) -> Verdict:
    """Score the golden questions; the arguments are those of `diagnose_reranker`."""

    def score(query: str, passages: Sequence[str]) -> list[float]:
        [scored] = model.score_batch([Pairs(query, passages)])
        return [float(each) for each in scored.scores]

    return diagnose_reranker(
        score, subject=f"reranker {model.name}", model=model.name, languages=languages
    )


def check_embedder(model: Embedder, *, languages: Sequence[Language] = LANGUAGES) -> Verdict:
    """Embed the golden questions; the arguments are those of `diagnose_embedder`."""
    return diagnose_embedder(
        lambda texts: model.embed_queries(texts).tolist(),
        lambda texts: model.embed_passages(texts).tolist(),
        subject=f"embedder {model.name}",
        model=model.name,
        languages=languages,
    )


def require_fit(model: RerankModel, *, languages: Sequence[Language] = LANGUAGES) -> Verdict:
    """The verdict on a reranker that is fit to serve.

    Raises:
        ModelUnfit: It is not; the message names the likely fault.
    """
    return _fit(model.name, check_reranker(model, languages=languages))


def require_fit_embedder(model: Embedder, *, languages: Sequence[Language] = LANGUAGES) -> Verdict:
    """The verdict on an embedder that is fit to serve; raises as `require_fit`."""
    return _fit(model.name, check_embedder(model, languages=languages))


def _fit(name: str, verdict: Verdict) -> Verdict:
    if not verdict.ok:
        raise ModelUnfit(
            model=name,
            reason=f"{verdict.sentence} (TWOFOLD_SELF_TEST=warn serves it nevertheless.)",
            fault=verdict.fault,
        )
    return verdict
