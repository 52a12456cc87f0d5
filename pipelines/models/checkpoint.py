"""Checkpoints on disk: which folder, whether it fits, and its weights, read once.

Weights are safetensors only and code from a checkpoint is never run.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, cast

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import AutoConfig, Qwen3Config, Qwen3Model

from twofold.errors import ModelUnfit

Role: TypeAlias = Literal["embedder", "reranker"]

_HUB_NAME = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.jinja"]
_OTHER_SETTING: dict[Role, str] = {
    "embedder": "TWOFOLD_EMBEDDER=sentence-transformers:{source}",
    "reranker": "TWOFOLD_RERANKER=cross-encoder:{source}",
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder that holds a Qwen3 model.

    Attributes:
        name: The last part of the folder or hub name, as it appears in answers.
        architecture: The first of `architectures` in its config, "" where it names none.
    """

    name: str
    folder: Path
    config: Qwen3Config

    @property
    def architecture(self) -> str:
        return (self.config.architectures or [""])[0]

    def has_tensor(self, key: str) -> bool:
        """Whether the weights hold a tensor of this name."""
        return key in self._files()

    def rows(self, key: str, indices: list[int]) -> Tensor:
        """Read single rows of a matrix, [n, columns] float32, without loading the rest of it."""
        files = self._files()
        if key not in files:
            raise ModelUnfit(model=self.name, reason=f"its weights lack '{key}'")
        with safe_open(files[key], framework="pt") as tensors:
            matrix = tensors.get_slice(key)
            return torch.cat([matrix[index : index + 1] for index in indices]).float()

    def load_backbone(self, dtype: torch.dtype, device: torch.device) -> Qwen3Model:
        """Load the decoder without its head, in one copy: tensor by tensor, then to the device.

        Raises:
            ModelUnfit: Some of its weights are missing.
        """
        loaded: object = Qwen3Model.from_pretrained(
            self.folder,
            config=self.config,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        model, report = cast("tuple[Qwen3Model, dict[str, set[str]]]", loaded)
        if missing := sorted(report["missing_keys"]):
            raise ModelUnfit(
                model=self.name,
                reason=f"{len(missing)} of its weights are missing, '{missing[0]}' among them; "
                "download the checkpoint again",
            )
        model.requires_grad_(requires_grad=False)
        model.train(mode=False)
        torch.nn.Module.to(model, device)
        return model

    def _files(self) -> dict[str, Path]:
        index = self.folder / "model.safetensors.index.json"
        if index.exists():
            names: dict[str, str] = json.loads(index.read_text("utf-8"))["weight_map"]
            return {key: self.folder / name for key, name in names.items()}
        single = self.folder / "model.safetensors"
        with safe_open(single, framework="pt") as tensors:
            return dict.fromkeys(tensors.keys(), single)


def open_checkpoint(source: str | Path, role: Role) -> Checkpoint:
    """Find a checkpoint and check, before any weight is read, that it can serve.

    Args:
        source: A folder, or a name on the Hugging Face hub such as `Qwen/Qwen3-Reranker-0.6B`.
        role: What it is to be used as; decides which other setting the error recommends.

    Raises:
        ModelUnfit: The folder is missing, has no safetensors, or is not a Qwen3 model.
    """
    name = Path(source).name
    folder = _locate(str(source))
    if not (folder / "config.json").is_file():
        raise ModelUnfit(model=name, reason=f"{folder} holds no config.json")
    config = _read_config(folder, name, _OTHER_SETTING[role].format(source=source))
    weights = folder / "model.safetensors"
    if not weights.exists() and not weights.with_suffix(".safetensors.index.json").exists():
        raise ModelUnfit(
            model=name,
            reason=f"{folder} holds no model.safetensors; Twofold reads no other format of "
            "weights, because a pickled one can run code: convert it with save_pretrained()",
        )
    return Checkpoint(name, folder, config)


def _locate(source: str) -> Path:
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or folder.is_absolute() or not _HUB_NAME.fullmatch(source):
        raise ModelUnfit(model=source, reason=f"there is no folder {folder}")
    from huggingface_hub import snapshot_download  # slow to import, and folders do without it

    try:
        return Path(snapshot_download(source, allow_patterns=_HUB_FILES))
    except (OSError, ValueError) as error:
        raise ModelUnfit(
            model=source,
            reason="there is no folder of that name and the Hugging Face hub does not give it "
            f"({type(error).__name__}); download it elsewhere and name its folder",
        ) from error


def _read_config(folder: Path, name: str, instead: str) -> Qwen3Config:
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelUnfit(
            model=name,
            reason=f"its config.json cannot be read as a Qwen3 model's ({error}); for a model of "
            f"another kind set {instead}",
        ) from error
    if not isinstance(config, Qwen3Config):
        raise ModelUnfit(
            model=name,
            reason=f"its config says model_type '{config.model_type}' and this engine runs "
            f"'qwen3' alone; set {instead}",
        )
    if set(config.layer_types or ()) != {"full_attention"}:
        raise ModelUnfit(
            model=name,
            reason="it attends in sliding windows, which no published Qwen3 embedding model or "
            f"reranker does; set {instead}",
        )
    return config
