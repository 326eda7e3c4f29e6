"""Decoders of Llama's shape as a plain torch module, with the parameter names of transformers.

Llama, and Qwen2 with its biases.  ``fits`` says which configurations are meant; all others go through
transformers.  The modules only hold the parameters; ``llama`` computes with them.
"""

from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import save_file
from torch import nn

from switchpoint.training import weights

# The class of a model type, and whether its q, k and v have biases.
FAMILIES = {"llama": ("LlamaForCausalLM", False), "qwen2": ("Qwen2ForCausalLM", True)}
SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
# Keys that change what the model computes, and the values under which it is this module.
PLAIN = {
    "hidden_act": ("silu",),
    "attention_bias": (None, False),
    "mlp_bias": (None, False),
    "use_sliding_window": (None, False),
    "rope_scaling": (None,),
    "quantization_config": (None,),
    "attention_dropout": (None, 0),
    "attn_logit_softcapping": (None,),
    "is_causal": (None, True),
    "tie_word_embeddings": (None, False, True),
}


def fits(config: dict) -> bool:
    """Whether a model directory's configuration describes this module."""
    if config.get("model_type") not in FAMILIES or not all(is_size(config.get(key)) for key in SIZES):
        return False
    rope, heads = config.get("rope_parameters") or {}, config["num_attention_heads"]
    if not isinstance(rope, dict):
        return False
    kv_heads, head_dim, pad = (config.get(key) for key in ("num_key_value_heads", "head_dim", "pad_token_id"))
    kv_heads = heads if kv_heads is None else kv_heads
    head_dim = config["hidden_size"] // heads if head_dim is None else head_dim
    theta = rope.get("rope_theta", config.get("rope_theta", 1.0))
    return (
        all(config.get(key) in values for key, values in PLAIN.items())
        and set(rope) <= {"rope_type", "rope_theta"}
        and rope.get("rope_type", "default") == "default"
        and all(isinstance(number, float | int) for number in (theta, config.get("rms_norm_eps", 1e-6)))
        and (is_size(kv_heads) and heads % kv_heads == 0)
        and (is_size(head_dim) and head_dim % 2 == 0)
        and (pad is None or (type(pad) is int and -1 <= pad < config["vocab_size"]))
        and config.get("layer_types") in (None, ["full_attention"] * config["num_hidden_layers"])
    )


def is_size(value) -> bool:
    """Whether a value of a configuration is a number of something."""
    return type(value) is int and value > 0


def named(config: dict) -> dict:
    """The class that readers of the saved configuration go by, whatever the one that was read says of it."""
    return {"architectures": [FAMILIES[config["model_type"]][0]]}


class Part(nn.Module):
    """A part of the model, called with what is computed of its parameters."""

    def forward(self, compute, *inputs):
        """What ``compute`` makes of the part and the inputs."""
        return compute(self, *inputs)


class Norm(Part):
    """A norm's weight."""

    def __init__(self, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size, device="meta"))


class Attention(nn.Module):
    """The four projections."""

    def __init__(self, c: SimpleNamespace):
        super().__init__()
        heads, kv = c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim
        self.head_dim = c.head_dim
        for name, size in (("q_proj", heads), ("k_proj", kv), ("v_proj", kv)):
            self.add_module(name, nn.Linear(c.hidden_size, size, bias=c.qkv_bias, device="meta"))
        self.o_proj = nn.Linear(heads, c.hidden_size, bias=False, device="meta")


class Mlp(nn.Module):
    """The gated feed-forward layer."""

    def __init__(self, c: SimpleNamespace):
        super().__init__()
        for name in ("gate_proj", "up_proj"):
            self.add_module(name, nn.Linear(c.hidden_size, c.intermediate_size, bias=False, device="meta"))
        self.down_proj = nn.Linear(c.intermediate_size, c.hidden_size, bias=False, device="meta")


class Layer(Part):
    """One decoder layer."""

    def __init__(self, c: SimpleNamespace):
        super().__init__()
        self.self_attn, self.mlp = Attention(c), Mlp(c)
        self.input_layernorm, self.post_attention_layernorm = Norm(c.hidden_size), Norm(c.hidden_size)


class Rotary(nn.Module):
    """The rotary embedding's frequencies, (head_dim / 2,)."""

    attention_scaling = 1.0

    def __init__(self, c: SimpleNamespace):
        super().__init__()
        exponent = torch.arange(0, c.head_dim, 2, dtype=torch.int64).float() / c.head_dim
        self.register_buffer("inv_freq", 1.0 / c.rope_theta**exponent, persistent=False)


class Decoder(nn.Module):
    """Embedding, layers, and the last norm."""

    def __init__(self, c: SimpleNamespace):
        super().__init__()
        weight = torch.empty(c.vocab_size, c.hidden_size, device="meta")
        self.embed_tokens = nn.Embedding(*weight.shape, c.pad_token_id, _weight=weight)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.num_hidden_layers))
        self.norm = Norm(c.hidden_size)
        self.rotary_emb = Rotary(c)


class Head(Part):
    """The head's weight."""

    def __init__(self, c: SimpleNamespace):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(c.vocab_size, c.hidden_size, device="meta"))


class Llama(Part):
    """A decoder and its head; ``config`` has the sizes."""

    def __init__(self, config: dict):
        super().__init__()
        heads = config["num_attention_heads"]
        rope = config.get("rope_parameters") or {}
        self.config = c = SimpleNamespace(
            **{name: config[name] for name in SIZES},
            num_key_value_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // heads,
            rms_norm_eps=config.get("rms_norm_eps", 1e-6),
            tie_word_embeddings=config.get("tie_word_embeddings", False),
            pad_token_id=config.get("pad_token_id"),
            rope_theta=rope.get("rope_theta", config.get("rope_theta", 10000.0)),
            qkv_bias=FAMILIES[config["model_type"]][1],
        )
        self.model = Decoder(c)
        self.lm_head = Head(c)
        if c.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.lm_head.weight.device


def load(config: dict, state: dict[str, torch.Tensor], source: Path) -> Llama:
    """The module with the weights of ``source``, a model directory; InputError where it has others."""
    model = Llama(config)
    if model.config.tie_word_embeddings and "model.embed_tokens.weight" in state:
        state.setdefault("lm_head.weight", state["model.embed_tokens.weight"])
    weights.refuse_misfits(source, *misfits(model, state))
    model.load_state_dict(state, assign=True)
    if model.config.tie_word_embeddings:
        model.lm_head.weight = model.model.embed_tokens.weight
    return model


def misfits(model: Llama, state: dict[str, torch.Tensor]) -> tuple[set, set, list]:
    """Names that the module misses, names that it does not have, and (name, shape, the module's shape)."""
    expected = model.state_dict()
    both = expected.keys() & state.keys()
    shapes = [(name, state[name].shape, expected[name].shape) for name in both]
    others = [(name, found, wanted) for name, found, wanted in shapes if found != wanted]
    return expected.keys() - state.keys(), state.keys() - expected.keys(), others


def save(model: Llama, state: dict[str, torch.Tensor], weights: Path) -> None:
    """Writes the model's weights ``state`` under transformers' names, a tied head once."""
    kept = {name: tensor.contiguous() for name, tensor in state.items()}
    if model.config.tie_word_embeddings:
        del kept["lm_head.weight"]
    save_file(kept, weights, metadata={"format": "pt"})
