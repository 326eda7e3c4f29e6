"""Decoders of Llama's shape in plain torch: packed logits for training, and batched sampling.

Both compute what transformers does, for the models that ``llama_parameters.fits`` accepts: each prompt once,
and no padding.
"""

import contextlib

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

BLOCK, ROOM = 4, 16  # decoding steps between removals of finished rows, and between growths of the cache
WASTE = 2**13  # query-key pairs of an attention call that may be padding


def whole(*modules) -> contextlib.AbstractContextManager:
    """The context of parameters that no engine has sharded."""
    return contextlib.nullcontext()


def copied(tensors: tuple, dtype: torch.dtype | None) -> tuple:
    """Copies in a type, of tuples within too; what is None stays."""
    if isinstance(tensors, tuple):
        return tuple(copied(one, dtype) for one in tensors)
    return None if tensors is None else tensors.detach().to(dtype, copy=True)


class Weights:
    """A model's weights in fewer matrices, made of its parameters where they are used, so that gradients reach them.

    Every part of the model is called with what is computed of its parameters: a sharded engine gathers them then.
    """

    def __init__(self, model):
        config, body = model.config, model.model
        self.model, self.eps, self.head_dim = model, config.rms_norm_eps, body.layers[0].self_attn.head_dim
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.inv_freq = body.rotary_emb.inv_freq.float()
        self.rope_scale = self.inv_freq.new_tensor(body.rotary_emb.attention_scaling)

    def merged(self, layer) -> tuple:
        """A layer's weights; the norms' are in the matrices behind them."""
        attention, mlp, after = layer.self_attn, layer.mlp, layer.post_attention_layernorm.weight
        before, parts = layer.input_layernorm.weight, (attention.q_proj, attention.k_proj)
        bias = None if parts[0].bias is None else self.paired([part.bias for part in parts])
        qk = self.paired([part.weight for part in parts]) * before, bias
        v = attention.v_proj.weight * before, attention.v_proj.bias
        gate, up = mlp.gate_proj.weight * after, mlp.up_proj.weight * after
        return qk, v, attention.o_proj.weight, gate, up, mlp.down_proj.weight

    def paired(self, parts: list[Tensor]) -> Tensor:
        """Rows of queries and keys with the two halves of a head interleaved: what is rotated together."""
        halves = torch.cat(parts).unflatten(0, (-1, 2, self.head_dim // 2))
        return halves.transpose(1, 2).flatten(0, 2)

    def embed(self, ids: Tensor) -> Tensor:
        """The embeddings of tokens."""
        return self.model.model.embed_tokens(ids)

    def run(self, index: int, x: Tensor, rotations: Tensor, attend, rows: Tensor | None) -> Tensor:
        """The layer of this index."""

        def compute(layer, x):
            return self.layer(self.merged(layer), index, x, rotations, attend, rows)

        return self.model.model.layers[index](compute, x)

    def unembed(self, x: Tensor) -> Tensor:
        """The logits of rows."""

        def compute(norm, x):
            return self.model.lm_head(lambda head, x: F.linear(self.norm(x), head.weight * norm.weight), x)

        return self.model.model.norm(compute, x)

    def norm(self, x: Tensor) -> Tensor:
        """The RMS norm of rows, without its weight."""
        wide = x.float()
        scale = torch.rsqrt(torch.linalg.vecdot(wide, wide) / x.shape[-1] + self.eps)
        return (wide * scale[:, None]).to(x.dtype)

    def logits(
        self, ids: Tensor, positions: Tensor, attend, wanted: Tensor | None = None, recompute: bool = False
    ) -> Tensor:
        """Float32 logits (rows, vocabulary) after the tokens ``ids`` (rows,), or after the ``wanted`` rows.

        ``attend(layer, q, k, v)`` is the attention: everything has shape (rows, heads, head_dim).  ``recompute``:
        a layer's activations are computed again in the backward pass instead of being kept.
        """
        x, last = self.embed(ids), self.model.config.num_hidden_layers - 1
        rotations = torch.polar(self.rope_scale, positions[:, None, None] * self.inv_freq)
        for index in range(last + 1):
            inputs = index, x, rotations, attend, wanted if index == last else None
            x = checkpoint(self.run, *inputs, use_reentrant=False) if recompute else self.run(*inputs)
        return self.unembed(x).float()

    def layer(
        self, weights: tuple, index: int, x: Tensor, rotations: Tensor, attend, rows: Tensor | None
    ) -> Tensor:
        """One layer's output, of these ``rows`` alone if given."""
        qk, v, out, gate, up, down = weights
        normed = self.norm(x)
        pairs = F.linear(normed, *qk).float().unflatten(-1, (-1, self.head_dim // 2, 2))
        turned = torch.view_as_complex(pairs) * rotations
        q, k = torch.view_as_real(turned).flatten(2).to(x.dtype).split([self.heads, self.kv_heads], 1)
        v = F.linear(normed, *v).unflatten(-1, (-1, self.head_dim))
        mixed = attend(index, q, k, v).flatten(1)
        if rows is not None:
            x, mixed = F.embedding(rows, x), F.embedding(rows, mixed)
        x = torch.addmm(x, mixed, out.t())
        normed = self.norm(x)
        return torch.addmm(x, F.silu(F.linear(normed, gate)) * F.linear(normed, up), down.t())


def gather(x: Tensor, rows: Tensor) -> Tensor:
    """(texts, heads, length, head_dim) from ``x`` (rows, heads, head_dim) and ``rows`` (texts, length)."""
    return F.embedding(rows, x.flatten(1)).unflatten(-1, x.shape[1:]).transpose(1, 2)


class Pack:
    """The tokens of (prompt, continuation) pairs as rows without padding, equal prompts once."""

    def __init__(self, sequences: list[tuple[list[int], list[int]]], device):
        rows, wanted, texts, prompts, self.buckets, padded = [], [], [], {}, [], 0
        for prompt, tokens in sequences:
            start, before = prompts.setdefault(tuple(prompt), (len(rows), len(prompt)))
            if start == len(rows):  # a new prompt
                texts.append((before, before, 0, start))  # queries, keys, first rows of keys and queries
                rows += enumerate(prompt)
            texts.append((len(tokens), before + len(tokens), start, len(rows)))
            wanted += [start + before - 1, *range(len(rows), len(rows) + len(tokens))]
            rows += enumerate(tokens, start=before)
        self.prompts = torch.tensor([prompts[tuple(prompt)] for prompt, _ in sequences], device=device)
        self.positions, self.ids = torch.tensor(rows, device=device).t().contiguous()
        self.wanted, self.outputs = torch.tensor(wanted, device=device), torch.empty_like(self.ids)
        buckets, most, pairs = [[]], 0, 0
        for text in sorted(text for text in texts if text[0]):
            most, pairs = max(most, text[1]), pairs + text[0] * text[1]
            if (len(buckets[-1]) + 1) * text[0] * most > pairs + WASTE:
                buckets, most, pairs = [*buckets, []], text[1], text[0] * text[1]
            buckets[-1].append(text)
        for bucket in buckets:
            count, width, start, first = torch.tensor(bucket, device=device).t()[:, :, None]
            query, key = (torch.arange(int(n.max()), device=device) for n in (count, width))
            real, query, before = query < count, torch.minimum(query, count - 1), width - count
            keys = torch.where(key < before, start + key, first - before + torch.minimum(key, width - 1))
            self.buckets.append((first + query, keys, key <= (before + query)[:, None, :, None]))
            self.outputs[(first + query)[real]] = padded + real.flatten().nonzero()[:, 0]
            padded += real.numel()

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention of each row to the positions up to its own of its prompt and continuation."""
        results = []
        for queries, keys, seen in self.buckets:
            qkv = gather(q, queries), gather(k, keys), gather(v, keys)
            result = F.scaled_dot_product_attention(*qkv, seen, enable_gqa=q.shape != k.shape)
            results.append(result.transpose(1, 2).flatten(2).flatten(0, 1))
        return F.embedding(self.outputs, torch.cat(results))


def response_logits(model, sequences: list[tuple[list[int], list[int]]], recompute: bool = False) -> Tensor:
    """Float32 logits (tokens, vocabulary) that predict the responses of nonempty (prompt, response) ids."""
    pack = Pack([(prompt, response[:-1]) for prompt, response in sequences], model.device)
    return Weights(model).logits(pack.ids, pack.positions, pack.attend, pack.wanted, recompute)


def draw(logits: Tensor, uniforms: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """Token ids (rows,) by inversion of the cumulative distribution, and their log-probabilities."""
    probabilities = torch.softmax(logits, dim=-1)
    if top_p < 1:
        ranked, tokens = probabilities.sort(dim=-1, descending=True, stable=True)
        ranked = ranked.masked_fill(ranked.cumsum(-1) - ranked >= top_p, 0.0)
        probabilities = probabilities.scatter(-1, tokens, ranked)
    cumulative = probabilities.cumsum(-1)  # a float32 below 1 times the last of a row is below that last
    chosen = (cumulative <= uniforms[:, None] * cumulative[:, -1:]).sum(-1, keepdim=True)
    return chosen[:, 0], probabilities.gather(-1, chosen)[:, 0].log()


class Snapshot(Weights):
    """A copy of a model's weights in ``dtype``; in the context ``gathered(*modules)`` the modules' own are whole."""

    @torch.no_grad()
    def __init__(self, model, gathered=whole, dtype: torch.dtype | None = None):
        super().__init__(model)
        self.layers, body = [], model.model
        for layer in body.layers:
            with gathered(layer):
                self.layers.append(copied(self.merged(layer), dtype))
        with gathered(body.embed_tokens, body.norm, model.lm_head):
            head = model.lm_head.weight * body.norm.weight
            self.embedding, self.head = copied((body.embed_tokens.weight, head), dtype)

    def embed(self, ids: Tensor) -> Tensor:
        """The embeddings of tokens."""
        return F.embedding(ids, self.embedding)

    def run(self, index: int, *inputs) -> Tensor:
        """The layer of this index."""
        return self.layer(self.layers[index], index, *inputs)

    def unembed(self, x: Tensor) -> Tensor:
        """The logits of rows."""
        return F.linear(self.norm(x), self.head)


class Decoder:
    """Samples with a snapshot of a model's weights."""

    def __init__(self, model, gathered=whole, dtype: torch.dtype | None = None):
        self.weights = Snapshot(model, gathered, dtype)

    @torch.inference_mode()
    def sample(self, prompts, draws: Tensor, temperature: float, ends: set[int], top_p: float = 1.0) -> list:
        """(Token ids, log-probabilities of the whole distribution at the temperature) of responses to prompts.

        ``draws`` in [0, 1), (prompts, longest response), choose the tokens; one of ``ends`` ends a response.
        """
        weights, device, limit = self.weights, self.weights.head.device, draws.shape[1]
        pack, cache = Pack([(prompt, []) for prompt in prompts], device), []
        first, lengths = pack.prompts.t()
        key, end_ids = torch.arange(int(lengths.max()), device=device), torch.tensor([*ends], device=device)
        rows = first[:, None] + torch.minimum(key, lengths[:, None] - 1)
        mask = weights.head.new_zeros(len(rows), weights.kv_heads, 1, len(key))
        mask.masked_fill_((key >= lengths[:, None])[:, None, None], -torch.inf)

        def prefill(layer, q, k, v):
            cache.append([gather(k, rows), gather(v, rows)])  # (prompts, kv_heads, room, head_dim)
            return pack.attend(layer, q, k, v)

        def attend(layer, q, k, v):
            keys, values = cache[layer]
            keys[:, :, place], values[:, :, place] = k, v
            q = q.unflatten(1, (weights.kv_heads, -1)).flatten(0, 1)
            scores = torch.baddbmm(mask.flatten(0, 1), q, keys.flatten(0, 1).mT, alpha=q.shape[-1] ** -0.5)
            return torch.bmm(scores.float().softmax(-1).to(q.dtype), values.flatten(0, 1)).view(len(k), -1)

        logits = weights.logits(pack.ids, pack.positions, prefill, pack.wanted)
        draws, alive = draws.to(device), torch.arange(len(prompts), device=device)
        tokens, logprobs = torch.zeros_like(draws, dtype=torch.long), torch.zeros_like(draws)
        for step in range(limit):
            ids, logprobs[alive, step] = draw(logits / temperature, draws[alive, step], top_p)
            tokens[alive, step] = ids
            ended = torch.isin(tokens[alive, step - step % BLOCK : step + 1], end_ids).any(1)
            if ended.all():
                break
            if step % BLOCK == BLOCK - 1 and ended.any():
                kept = (~ended).nonzero()[:, 0]
                ids, alive, lengths, mask = (x[kept] for x in (ids, alive, lengths, mask))
                cache = [[own.index_select(0, kept) for own in pair] for pair in cache]
            if step % ROOM == 0:
                cache = [[F.pad(own, (0, 0, 0, ROOM)) for own in pair] for pair in cache]
                mask = F.pad(mask, (0, ROOM), value=-torch.inf)
            place = len(key) + step
            mask[..., place] = 0.0
            logits = weights.logits(ids, lengths + step, attend)
        ended = torch.isin(tokens, end_ids)
        counts = torch.where(ended.any(1), ended.int().argmax(1) + 1, limit).tolist()
        responses = zip(tokens.tolist(), logprobs.tolist(), counts, strict=True)
        return [(ids[:count], values[:count]) for ids, values, count in responses]
