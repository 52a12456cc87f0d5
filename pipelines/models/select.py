"""Which models a process serves, by its settings; nothing heavy is imported before it is chosen.

    TWOFOLD_EMBEDDER            TWOFOLD_RERANKER
    auto                        auto                    qwen3 with a CUDA device, else minilm
    minilm                      late-interaction        all-MiniLM-L6-v2, on any processor
    qwen3:FOLDER-OR-NAME        qwen3:FOLDER-OR-NAME    Qwen3-Embedding and Qwen3-Reranker
    sentence-transformers:NAME  cross-encoder:NAME      what that library loads
                                onnx:FOLDER             an ONNX export of Qwen3-Reranker
    DIALECT+http://HOST         DIALECT+http://HOST     a model server, see `twofold.remote`
                                none                    no second stage

TWOFOLD_OTHER_EMBEDDERS holds more of the first column, separated by commas.

What the operator names answers the golden questions before it serves, unless TWOFOLD_SELF_TEST
says otherwise. The weights of all-MiniLM-L6-v2 are known by their hash.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

from pipelines.embedders import Embedders, require_distinct
from pipelines.models.probation import OnProbation
from pipelines.models.selftest import require_fit, require_fit_embedder
from pipelines.ports import Closeable, Embedder, RerankModel
from pipelines.settings import Settings
from twofold.errors import ConfigurationError, ModelUnavailable, ModelUnfit

logger = logging.getLogger(__name__)

QWEN3_EMBEDDER = "qwen3:Qwen/Qwen3-Embedding-0.6B"
QWEN3_RERANKER = "qwen3:Qwen/Qwen3-Reranker-0.6B"
EMBEDDERS = (
    "auto, minilm, qwen3:FOLDER-OR-NAME, sentence-transformers:NAME, or a server as "
    "DIALECT+http://HOST with the dialect openai, tei or dmr"
)
RERANKERS = (
    "auto, late-interaction, qwen3:FOLDER-OR-NAME, cross-encoder:NAME, onnx:FOLDER, none, or a "
    "server as DIALECT+http://HOST with the dialect cohere, jina, tei or dmr"
)


class Models(NamedTuple):
    """The models of a process; without a reranker there is no reranking.

    Attributes:
        others: Embedders that collections may name beside the default.
    """

    embedder: Embedder
    reranker: RerankModel | None
    others: tuple[Embedder, ...] = ()

    @property
    def embedders(self) -> Embedders[Embedder]:
        """All of the first stage, the default first."""
        return Embedders(self.embedder, *self.others)


def chosen_models(settings: Settings) -> Models:
    """Load the models that the settings name."""
    embedder, *others = chosen_embedders(settings)
    return Models(embedder, choose_reranker(settings, embedder), tuple(others))


def chosen_embedders(settings: Settings) -> Embedders[Embedder]:
    """Load the embedders that the settings name.

    Raises:
        ConfigurationError: Two of them have the same name.
    """
    chosen = [choose_embedder(settings, each) for each in settings.embedders]
    require_distinct(chosen)
    return Embedders(*chosen)


def choose_embedder(settings: Settings, setting: str | None = None) -> Embedder:
    """Load a model of the first stage.

    Args:
        settings: Whether it is tested, and which one is the default.
        setting: One of TWOFOLD_OTHER_EMBEDDERS; None: TWOFOLD_EMBEDDER.

    Raises:
        ConfigurationError: The setting names no kind of model that there is.
        ModelUnfit: The model cannot be loaded, or fails its self-test.
        ModelUnavailable: The server does not answer; without it nothing can be searched.
    """
    role = "EMBEDDER" if setting in (None, settings.embedder) else "OTHER_EMBEDDERS"
    setting = setting or settings.embedder
    if setting == "auto":
        setting = _automatic("embedder", gpu=QWEN3_EMBEDDER, cpu="minilm")
    match setting.partition(":"):
        case ("minilm", "", ""):
            from pipelines.models.minilm import MiniLm, MiniLmEmbedder

            return MiniLmEmbedder(MiniLm.load())
        case ("qwen3", _, source) if source:
            from pipelines.models.qwen3 import Qwen3Embedder

            return _fit_embedder(Qwen3Embedder(source), settings)
        case ("sentence-transformers", _, source) if source:
            from pipelines.models.sentence_transformer import SentenceTransformerEmbedder

            return _fit_embedder(SentenceTransformerEmbedder(source), settings)
        case _ if "://" in setting:
            from pipelines.models.remote import remote_embedder

            return _fit_embedder(remote_embedder(setting), settings)
    raise _unknown(role, setting, EMBEDDERS)


def choose_reranker(settings: Settings, embedder: Embedder) -> RerankModel | None:
    """Load the model of the second stage; None when the setting says none.

    Args:
        settings: Names the model.
        embedder: Of the first stage; late interaction shares its weights where they are the same.

    Raises:
        ConfigurationError: TWOFOLD_RERANKER names no kind of model that there is.
        ModelUnfit: The model cannot be loaded, or fails its self-test.
    """
    setting = settings.reranker
    if setting == "auto":
        setting = _automatic("reranker", gpu=QWEN3_RERANKER, cpu="late-interaction")
    match setting.partition(":"):
        case ("none", "", ""):
            return None
        case ("late-interaction", "", ""):
            return _late_interaction(embedder, settings.rerank_cache_bytes)
        case ("qwen3", _, source) if source:
            from pipelines.models.qwen3 import Qwen3Reranker

            return _fit_reranker(Qwen3Reranker(source), settings)
        case ("cross-encoder", _, source) if source:
            from pipelines.models.sentence_transformer import CrossEncoderReranker

            return _fit_reranker(CrossEncoderReranker(source), settings)
        case ("onnx", _, source) if source:
            from pipelines.models.onnx import OnnxReranker

            return _fit_reranker(OnnxReranker(source), settings)
        case _ if "://" in setting:
            return choose_reranker_server(settings)
    raise _unknown("RERANKER", setting, RERANKERS)


def choose_reranker_server(settings: Settings) -> RerankModel:
    """The second stage behind a URL, which may be away: then searches say so.

    Raises:
        ConfigurationError: TWOFOLD_RERANKER is no URL of a dialect that there is.
        ModelUnfit: It answers, and fails its self-test.
    """
    from pipelines.models.remote import remote_reranker

    return _fit_server(remote_reranker(settings.reranker), settings)


def cuda_device() -> str | None:
    """Name of the CUDA device, None where there is none."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _automatic(role: str, *, gpu: str, cpu: str) -> str:
    device = cuda_device()
    chosen = gpu if device else cpu
    reason = f"there is a CUDA device, {device}" if device else "there is no CUDA device"
    logger.info("TWOFOLD_%s=auto: %s, because %s", role.upper(), chosen, reason)
    return chosen


def _late_interaction(embedder: Embedder, cache_bytes: int) -> RerankModel:
    """Share the embedder's weights, and what it makes of texts, where it is the same model."""
    from pipelines.models.late_interaction import LateInteractionReranker
    from pipelines.models.minilm import MiniLm, MiniLmEmbedder

    if not isinstance(embedder, MiniLmEmbedder):
        return LateInteractionReranker(MiniLm.load(), cache_bytes=cache_bytes)
    reranker = LateInteractionReranker(embedder.model, cache_bytes=cache_bytes)
    embedder.on_passage, embedder.on_query = reranker.remember, reranker.remember_query
    return reranker


def _fit_embedder(model: Embedder, settings: Settings) -> Embedder:
    _examine(model, lambda: require_fit_embedder(model), settings)
    return model


def _fit_reranker(model: RerankModel, settings: Settings) -> RerankModel:
    _examine(model, lambda: require_fit(model), settings)
    return model


def _fit_server(model: RerankModel, settings: Settings) -> RerankModel:
    """A server may be away: then searches say so, and it is tested when it comes back."""
    try:
        return _fit_reranker(model, settings)
    except ModelUnavailable as error:
        logger.warning("%s It is tested as soon as it answers.", error)
        return OnProbation(model) if settings.self_test == "require" else model


def _examine(
    model: Embedder | RerankModel, examination: Callable[[], object], settings: Settings
) -> None:
    if settings.self_test == "off":
        return
    try:
        examination()
    except ModelUnfit as error:
        if settings.self_test == "require":
            if isinstance(model, Closeable):
                model.close()
            raise
        logger.warning("%s It is served all the same.", error)


def _unknown(role: str, setting: str, known: str) -> ConfigurationError:
    return ConfigurationError(setting=f"TWOFOLD_{role}='{setting}'", reason=f"it is one of {known}")
