"""The packed decoder: what it shares, how it cuts, and what it does when memory runs out."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import AttentionInterface, Qwen3Model
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from pipelines.models import packed_attention
from pipelines.models.packed_attention import QUERY_ROWS, SDPA, VARLEN, packed_sdpa
from pipelines.models.packed_decoder import PackedDecoder
from pipelines.models.packed_row import Branch, common_length
from tests.support.checkpoints import make_embedder

PLENTY = 1_000_000
A, B, C = (1, 2, 3, 4), (1, 2, 3, 5, 6), (1, 2, 3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Qwen3Model:
    folder: Path = make_embedder(tmp_path_factory.mktemp("models") / "tiny")
    loaded: Qwen3Model = Qwen3Model.from_pretrained(folder, dtype=torch.float32).eval()
    return loaded


@pytest.fixture
def rows_computed(model: Qwen3Model) -> Iterator[list[int]]:
    """How many token rows each forward pass embedded."""
    counts: list[int] = []
    hook = model.embed_tokens.register_forward_hook(
        lambda _m, args, _o: counts.append(len(args[0]))
    )
    yield counts
    hook.remove()


@torch.no_grad()
def literal(model: Qwen3Model, branches: list[Branch]) -> Tensor:
    sequences = [(*stem, *leaf) for stem, leaves in branches for leaf in leaves]
    return torch.cat([model(torch.tensor([each])).last_hidden_state[:, -1] for each in sequences])


def random_tokens(length: int, seed: int) -> tuple[int, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(0, 500, (length,), generator=generator).tolist())


def mixed_branches() -> list[Branch]:
    stem = random_tokens(11, 0)
    return [
        Branch(stem, [random_tokens(n, n) for n in (1, 7, 30, 2)]),
        Branch((), [random_tokens(n, n) for n in (5, 1)]),
        Branch((*stem[:6], 77, 78), [random_tokens(9, 9)]),
    ]


def test_the_common_beginning_is_found() -> None:
    assert common_length([A, B]) == 3
    assert common_length([A, B, C]) == 3
    assert common_length([A, (9,)]) == 0
    assert common_length([A, A]) == 4
    assert common_length([(), A]) == 0


def test_a_branch_leaves_every_sequence_a_token_of_its_own() -> None:
    assert Branch.of([A, B]) == ((1, 2, 3), [(4,), (5, 6)])
    assert Branch.of([C, A]) == ((1, 2), [(3,), (3, 4)])
    assert Branch.of([A]) == ((1, 2, 3), [(4,)])
    assert Branch.of([(7,)]) == ((), [(7,)])


@pytest.mark.parametrize("constant", [(), random_tokens(6, 0), random_tokens(11, 0), (3, 4)])
def test_states_are_those_of_the_sequences_one_by_one(
    model: Qwen3Model, constant: tuple[int, ...]
) -> None:
    decoder = PackedDecoder(model, token_budget=PLENTY, attention=SDPA, constant=constant)
    branches = mixed_branches()
    for _ in range(2):  # the second time, the constant beginning comes from memory
        torch.testing.assert_close(
            decoder.last_states(branches), literal(model, branches), rtol=0, atol=2e-5
        )


def test_a_shared_beginning_runs_once_and_the_constant_once_for_all(
    model: Qwen3Model, rows_computed: list[int]
) -> None:
    stem = random_tokens(20, 1)
    decoder = PackedDecoder(model, token_budget=PLENTY, attention=SDPA, constant=stem[:15])
    branch = Branch(stem, [random_tokens(10, n) for n in range(3)])
    decoder.last_states([branch])
    decoder.last_states([branch, branch])
    assert rows_computed == [15, 5 + 30, 2 * (5 + 30)]


def test_batches_stay_within_the_budget_and_a_cut_branch_computes_its_stem_once(
    model: Qwen3Model, rows_computed: list[int]
) -> None:
    decoder = PackedDecoder(model, token_budget=50, attention=SDPA)
    branch = Branch(random_tokens(20, 1), [random_tokens(n, n) for n in (20, 20, 20, 60, 5)])
    states = decoder.last_states([Branch((), [(1, 2)]), branch])
    assert rows_computed == [2, 20, 40, 20, 60, 5]
    torch.testing.assert_close(
        states, literal(model, [Branch((), [(1, 2)]), branch]), rtol=0, atol=2e-5
    )


def test_a_long_sequence_attends_in_stretches_without_a_square_mask(
    model: Qwen3Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells: list[int] = []
    plain = torch.nn.functional.scaled_dot_product_attention

    def watched(query: Tensor, key: Tensor, *rest: Tensor, **options: object) -> Tensor:
        mask = options["attn_mask"]
        cells.append(mask.numel() if isinstance(mask, Tensor) else 0)
        return plain(query, key, *rest, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    decoder = PackedDecoder(
        model, token_budget=PLENTY, attention=SDPA, constant=random_tokens(9, 1)
    )
    branches = [Branch(random_tokens(9, 1), [random_tokens(2_100, 2), random_tokens(3, 3)])]
    states = decoder.last_states(branches)
    assert max(cells) <= QUERY_ROWS * (9 + 2_100)
    torch.testing.assert_close(states, literal(model, branches), rtol=0, atol=2e-5)


def _one_by_one(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_bounds: Tensor,
    key_bounds: Tensor,
    longest_query: int,
    longest_key: int,
    *,
    scale: float,
) -> Tensor:
    """What the variable-length kernel computes, sequence by sequence (bottom-right causal)."""
    assert longest_query == query_bounds.diff().max()
    assert longest_key == key_bounds.diff().max()
    groups = query.shape[1] // key.shape[1]
    key, value = (each.repeat_interleave(groups, 1) for each in (key, value))
    outputs = []
    for index in range(len(query_bounds) - 1):
        q = query[query_bounds[index] : query_bounds[index + 1]]
        k = key[key_bounds[index] : key_bounds[index + 1]]
        v = value[key_bounds[index] : key_bounds[index + 1]]
        scores = torch.einsum("qhd,khd->hqk", q, k) * scale
        future = torch.ones(scores.shape[1:], dtype=torch.bool).triu(len(k) - len(q) + 1)
        weights = scores.masked_fill(future, float("-inf")).softmax(-1)
        outputs.append(torch.einsum("hqk,khd->qhd", weights, v))
    return torch.cat(outputs)


@pytest.mark.parametrize("constant", [(), random_tokens(6, 0)])
@pytest.mark.parametrize("token_budget", [30, PLENTY])
def test_the_variable_length_kernel_gets_the_same_sequences(
    model: Qwen3Model,
    monkeypatch: pytest.MonkeyPatch,
    constant: tuple[int, ...],
    token_budget: int,
) -> None:
    monkeypatch.setattr(packed_attention, "varlen_kernel", lambda: _one_by_one)
    decoder = PackedDecoder(model, token_budget=token_budget, attention=VARLEN, constant=constant)
    branches = mixed_branches()
    torch.testing.assert_close(
        decoder.last_states(branches), literal(model, branches), rtol=0, atol=2e-5
    )


def test_both_attentions_are_registered_with_transformers() -> None:
    assert {SDPA, VARLEN} <= set(ALL_ATTENTION_FUNCTIONS.valid_keys())


@pytest.fixture
def attention_with_room_for() -> Iterator[Callable[[int], str]]:
    """Registers an attention that runs out of memory beyond so many keys, as a device does."""

    def register(rows: int) -> str:
        def attend(*args: Tensor, **options: object) -> object:
            if args[2].shape[2] > rows:
                raise torch.OutOfMemoryError("simulated")
            return packed_sdpa(*args, **options)  # type: ignore[arg-type]

        AttentionInterface.register("small", attend)
        return "small"

    yield register
    ALL_ATTENTION_FUNCTIONS._global_mapping.pop("small")


def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(
    model: Qwen3Model, attention_with_room_for: Callable[[int], str]
) -> None:
    decoder = PackedDecoder(model, token_budget=400, attention=attention_with_room_for(60))
    branches = [
        *mixed_branches(),
        Branch(random_tokens(8, 1), [random_tokens(20, n) for n in range(9)]),
    ]
    states = decoder.last_states(branches)
    torch.testing.assert_close(states, literal(model, branches), rtol=0, atol=2e-5)
    assert decoder.token_budget < 400, "the next batch is made smaller from the start"


def test_a_single_sequence_that_does_not_fit_is_an_error(
    model: Qwen3Model, attention_with_room_for: Callable[[int], str]
) -> None:
    decoder = PackedDecoder(model, token_budget=400, attention=attention_with_room_for(10))
    with pytest.raises(torch.OutOfMemoryError):
        decoder.last_states([Branch((), [random_tokens(30, 1)])])
