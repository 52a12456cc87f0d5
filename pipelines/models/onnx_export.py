"""Turns a Qwen3 reranker into an ONNX folder: `python -m pipelines.models.onnx_export FROM TO`.

The graph takes `input_ids`, `attention_mask` and `position_ids`, each [batch, length] int64 with
both dimensions free, padded on either side. It gives `logits`, [batch, 2] float32: of "no" and of
"yes" at the last token of each row. Nothing else of the vocabulary is in it, which saves a third
of the arithmetic of the 0.6B model.
"""

import shutil
import warnings
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn
from transformers import Qwen3ForCausalLM

from pipelines.models.checkpoint import open_checkpoint
from pipelines.models.qwen3_prompt import PromptTokenizer
from twofold.errors import ConfigurationError, ModelUnfit, TwofoldError

GRAPH = "model.onnx"
COPIED = ("config.json", "generation_config.json", "*token*", "vocab*", "merges.txt", "*.jinja")


class YesNo(nn.Module):
    """The model from token ids to the two logits that make a score."""

    def __init__(self, model: Qwen3ForCausalLM, no: int, yes: int) -> None:
        super().__init__()
        self._decoder = model.model
        self._rows = nn.Parameter(model.lm_head.weight[[no, yes]].detach().clone())

    def forward(self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor) -> Tensor:
        """[batch, 2] logits of no and yes; all arguments [batch, length] int64."""
        states: Tensor = self._decoder(
            input_ids=input_ids,
            attention_mask=_visible(attention_mask),
            position_ids=position_ids,
            use_cache=False,
        ).last_hidden_state
        # The last real token, wherever the padding is.
        steps = torch.arange(input_ids.shape[1], device=input_ids.device)
        last = (attention_mask * steps).argmax(dim=1)
        ends = states[torch.arange(input_ids.shape[0], device=input_ids.device), last]
        logits: Tensor = ends @ self._rows.T
        return logits


def _visible(attention_mask: Tensor) -> Tensor:
    """[batch, 1, length, length] additive mask: each token sees real tokens up to itself.

    The lowest finite number rather than minus infinity: a row of padding sees nothing, and its
    softmax must not become NaN.
    """
    steps = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    causal = steps[None, :] <= steps[:, None]
    seen = causal[None, None] & attention_mask.bool()[:, None, None, :]
    return torch.where(seen, 0.0, torch.finfo(torch.float32).min)


def export(checkpoint: str | Path, folder: Path) -> Path:
    """Write graph, configuration and tokenizer of a reranker to a folder; gives the graph's path.

    Args:
        checkpoint: Folder or hub name of a `Qwen3ForCausalLM` reranker.
        folder: Made if it is not there; must be empty.

    Raises:
        ModelUnfit: The checkpoint is no such reranker.
        ConfigurationError: The folder holds something.
    """
    source = open_checkpoint(checkpoint, "reranker")
    if source.architecture != "Qwen3ForCausalLM":
        raise ModelUnfit(
            model=source.name,
            reason=f"its architecture is '{source.architecture}'; export the checkpoint as it was "
            "published, a Qwen3ForCausalLM",
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(setting=f"the folder {folder}", reason="it is not empty")
    tokenizer = PromptTokenizer(source.folder, source.name)
    model = Qwen3ForCausalLM.from_pretrained(
        source.folder,
        dtype=torch.float32,
        attn_implementation="sdpa",
        use_safetensors=True,
        local_files_only=True,
    )
    module = YesNo(model, tokenizer.id_of("no"), tokenizer.id_of("yes")).train(mode=False)
    folder.mkdir(parents=True, exist_ok=True)
    graph = folder / GRAPH
    _write(module, graph)
    for pattern in COPIED:
        for file in source.folder.glob(pattern):
            shutil.copy(file, folder / file.name)
    return graph


def _write(module: YesNo, graph: Path) -> None:
    tokens = torch.ones(2, 9, dtype=torch.int64)
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", min=2)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what torch's exporter says of its own inside
        torch.onnx.export(
            module,
            (tokens, torch.ones_like(tokens), torch.arange(9).expand(2, 9)),
            graph,
            input_names=["input_ids", "attention_mask", "position_ids"],
            output_names=["logits"],
            dynamic_shapes=(free, free, free),
            dynamo=True,
            verbose=False,
        )


def main(
    checkpoint: Annotated[str, typer.Argument(help="Folder or hub name of a Qwen3 reranker.")],
    folder: Annotated[Path, typer.Argument(help="Where the ONNX files go; made if need be.")],
) -> None:
    """Export a Qwen3 reranker for TWOFOLD_RERANKER=onnx:FOLDER."""
    try:
        graph = export(checkpoint, folder)
    except TwofoldError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{graph}: use it with TWOFOLD_RERANKER=onnx:{folder}")


if __name__ == "__main__":
    typer.run(main)
