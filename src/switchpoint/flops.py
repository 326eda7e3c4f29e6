"""Training compute in floating-point operations, from the architecture and the sequence lengths.

The estimates follow Eq. 18-27: a forward pass costs two operations per weight and token plus
the attention scores, a backward pass twice a forward pass.  So a training step, ``step``, is one forward
pass over the sequences that it generates and three over those that it trains on; which these are is what
sets the paradigms apart, and ``PARADIGMS`` says it.  ``accounting`` is ``"retu"``, the
paper's convention, or ``"strict"``: only the head's V*H weights are multiplied (the input
embedding is a look-up), expert tokens are not charged a generation pass, and the pass that
recomputes the old log-probabilities is charged where it takes place.

Deviations: attention is n_heads * head_dim wide, which equals the paper's H only when
head_dim = H / n_heads.  Query, key, value and output are counted one by one: the paper's 2H(H + D_KV)
with D_KV one of key and value (its text says both).  Eq. 25 lacks the factor B; UPT generates G responses
for each of the B prompts.  Eq. 24-27 share one per-token cost; on-policy and expert tokens are charged
here at their own mean lengths.  A mean length understates attention, which grows with the mean square:
``step`` takes the sums over the real lengths, and a paradigm the mean and the mean square where it takes
a mean length.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from switchpoint.errors import InputError
from switchpoint.model_directory import read_object

EXA = 1e18
# bf16 FLOP/s without sparsity, by the device's name; from the makers' data sheets.
PEAKS = {
    "NVIDIA A100-SXM4-40GB": 312e12,
    "NVIDIA A100-SXM4-80GB": 312e12,
    "NVIDIA A100-PCIE-40GB": 312e12,
    "NVIDIA A100 80GB PCIe": 312e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H100 80GB HBM3": 989e12,
    "NVIDIA H200": 989e12,
}
LARGEST = 1e12  # tokens or sequences; products of larger ones overflow
Accounting = Literal["retu", "strict"]
TokenSums = tuple[float, float]
"""(number of tokens, sum of the squared sequence lengths) of a group of sequences."""
Length = float | tuple[float, float]
"""Mean length of a group of sequences in tokens, or the mean and the mean square of their lengths."""


@dataclass(frozen=True)
class Architecture:
    """The sizes of a dense decoder with gated MLPs that its FLOPs depend on."""

    n_layers: int
    hidden_size: int
    intermediate_size: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    vocab_size: int

    @classmethod
    def from_config(cls, config: dict, source: str = "config") -> "Architecture":
        """From a Hugging Face config; ``source`` names it in errors.

        InputError for a missing or non-positive size, and for a mixture of experts.
        """
        for key in ("n_routed_experts", "num_experts", "num_local_experts"):
            if config.get(key):
                raise InputError(f"{source}: {key} marks a mixture of experts; give a dense model")

        def size(key: str, default: int | None = None) -> int:
            value = config.get(key)
            value = default if value is None else value
            if type(value) is not int or not 0 < value <= LARGEST:
                raise InputError(f"{source}: {key} is {value!r}; set it to a positive integer")
            return value

        hidden_size, n_heads = size("hidden_size"), size("num_attention_heads")
        return cls(
            n_layers=size("num_hidden_layers"),
            hidden_size=hidden_size,
            intermediate_size=size("intermediate_size"),
            n_heads=n_heads,
            n_kv_heads=size("num_key_value_heads", n_heads),
            head_dim=size("head_dim", hidden_size // n_heads),
            vocab_size=size("vocab_size"),
        )


BUNDLED = {
    "Qwen2.5-7B": Architecture(28, 3584, 18944, 28, 4, 128, 152064),
    "Qwen2.5-14B": Architecture(48, 5120, 13824, 40, 8, 128, 152064),
    "Llama-3.2-3B": Architecture(28, 3072, 8192, 24, 8, 128, 128256),
    "Qwen2.5-0.5B": Architecture(24, 896, 4864, 14, 2, 64, 151936),
    "Qwen2.5-Math-7B": Architecture(28, 3584, 18944, 28, 4, 128, 152064),
    "Qwen3-4B-Base": Architecture(36, 2560, 9728, 32, 8, 128, 151936),
    "Meta-Llama-3-8B-Instruct": Architecture(32, 4096, 14336, 32, 8, 128, 128256),
    "Mistral-Nemo-Instruct-2407": Architecture(40, 5120, 14336, 32, 8, 128, 131072),
}


def architecture(model: str | Path) -> Architecture:
    """The architecture of a bundled model name, a ``config.json`` or a model directory.

    InputError when ``model`` is none of these, or its config is not valid.
    """
    if str(model) in BUNDLED:
        return BUNDLED[str(model)]
    path = Path(model) / "config.json" if Path(model).is_dir() else Path(model)
    if not path.is_file():
        raise InputError(
            f"model {str(model)!r} is neither a model directory, nor a config.json, "
            f"nor a bundled name ({', '.join(BUNDLED)})"
        )
    return Architecture.from_config(read_object(path), str(path))


def n_parameters(arch: Architecture, accounting: Accounting = "retu") -> int:
    """Weights that a token is multiplied with (Eq. 18), ``retu`` with 2VH for the vocabulary."""
    if accounting not in ("retu", "strict"):
        raise InputError(f"accounting is {accounting!r}; choose 'retu' or 'strict'")
    mlp = 3 * arch.hidden_size * arch.intermediate_size
    attention = arch.hidden_size * 2 * (arch.n_heads + arch.n_kv_heads) * arch.head_dim
    vocabulary = arch.vocab_size * arch.hidden_size * (2 if accounting == "retu" else 1)
    return arch.n_layers * (mlp + attention) + vocabulary


def n_weights(model: str | Path) -> int:
    """Weights that a model directory has, but for the norms' and biases: a head that is tied is no other."""
    tied = read_object(Path(model, "config.json")).get("tie_word_embeddings")
    return n_parameters(architecture(model), "strict" if tied else "retu")


def forward_tokens(
    arch: Architecture, n_tokens: float, sum_squared_lengths: float, accounting: Accounting = "retu"
) -> float:
    """FLOPs of one forward pass over sequences, exact from their token sums (Eq. 19).

    ``n_tokens`` is the sum of the lengths S and ``sum_squared_lengths`` the sum of S^2 over
    the sequences, prompt included.
    """
    attention = 4.0 * arch.n_layers * arch.n_heads * arch.head_dim
    return 2.0 * n_parameters(arch, accounting) * n_tokens + attention * sum_squared_lengths


def step(
    arch: Architecture,
    generated: TokenSums,
    trained: TokenSums,
    accounting: Accounting = "retu",
    old_logprob_pass: bool = False,
) -> float:
    """FLOPs of one training step: a forward pass over the generated, three over the trained sequences.

    ``strict`` adds one forward pass over the trained sequences when ``old_logprob_pass``.
    """
    passes = 4 if accounting == "strict" and old_logprob_pass else 3
    return forward_tokens(arch, *generated, accounting) + passes * forward_tokens(arch, *trained, accounting)


class Group(NamedTuple):
    """Sequences of one kind in a step: how many, how long (prompt included), and whether an expert's."""

    number: float
    length: Length
    expert: bool = False


Sequences = tuple[list[Group], list[Group]]
"""What a step generates, and what it trains on."""


def sft(batch_size: float, mean_length: Length) -> Sequences:
    """3 B S F (Eq. 21)."""
    return [], [Group(batch_size, mean_length)]


def grpo(batch_size: float, group_size: float, mean_length: Length) -> Sequences:
    """4 B G S F (Eq. 23): DAPO with one round and all groups kept."""
    return dapo(1, batch_size, batch_size, group_size, mean_length)


def dapo(
    rounds: float, generation_batch: float, batch_size: float, group_size: float, mean_length: Length
) -> Sequences:
    """(K B_gen + 3 B_train) G S F, K the sampling rounds (Eq. 22)."""
    sampled = Group(rounds * generation_batch * group_size, mean_length)
    return [sampled], [Group(batch_size * group_size, mean_length)]


def luffy(
    batch_size: float, group_size: float, mean_length: Length, n_experts: float, expert_length: Length
) -> Sequences:
    """4 B (G S_on + N S_off) F (Eq. 24), of LUFFY and SRFT.

    G counts the on-policy responses per prompt only (the paper's 7), N the expert trajectories per prompt.
    """
    both = [
        Group(batch_size * group_size, mean_length),
        Group(batch_size * n_experts, expert_length, expert=True),
    ]
    return both, both


def upt(
    batch_size: float, group_size: float, on_samples: float, mean_length: Length,
    expert_samples: float, expert_length: Length,
) -> Sequences:  # fmt: skip
    """[B G S_on + 3 (N_on S_on + N_off S_off)] F (Eq. 25-27, with B).

    N_on and N_off count the trained sequences of the whole batch.
    """
    trained = [Group(on_samples, mean_length), Group(expert_samples, expert_length, expert=True)]
    return [Group(batch_size * group_size, mean_length)], trained


def evaluation(batch_size: float, group_size: float, mean_length: Length) -> Sequences:
    """B G S F: G samples (16 of AIME, 256 for pass@64) of each of B problems, and no training."""
    return [Group(batch_size * group_size, mean_length)], []


# The functions' parameters are the options of `switchpoint flops`.
PARADIGMS: dict[str, Callable[..., Sequences]] = {
    "sft": sft,
    "grpo": grpo,
    "dapo": dapo,
    "luffy": luffy,
    "srft": luffy,
    "upt": upt,
    "evaluation": evaluation,
}


def paradigm_step(
    arch: Architecture,
    paradigm: str,
    accounting: Accounting = "retu",
    old_logprob_pass: bool = False,
    **options: Length,
) -> float:
    """FLOPs of one step (or evaluation) of a paradigm, a key of ``PARADIGMS``, with exactly its options."""
    generated, trained = PARADIGMS[paradigm](**options)
    if accounting == "strict":
        generated = [group for group in generated if not group.expert]
    return step(arch, token_sums(generated), token_sums(trained), accounting, old_logprob_pass)


def token_sums(groups: list[Group]) -> TokenSums:
    """Number of tokens and sum of the squared lengths of all sequences; InputError for impossible numbers."""
    tokens = squares = 0.0
    for number, length, _ in groups:
        mean, square = length if isinstance(length, tuple) else (length, length * length)
        if not (0 <= number <= LARGEST and 0 <= mean <= LARGEST):
            given = f"{number} sequences of mean length {mean}"
            raise InputError(f"{given}: give numbers of 0 or more, at most {LARGEST:g}")
        tokens, squares = tokens + number * mean, squares + number * square
    return tokens, squares


def gpu_hours(exaflops: float, peak: float, mfu: float) -> float:
    """GPU-hours of so many exaFLOPs on GPUs of ``peak`` FLOP/s, of which they reach the share ``mfu``."""
    return exaflops * EXA / (peak * mfu) / 3600
