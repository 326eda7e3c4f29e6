"""DeepSpeed's ZeRO as the engine: optimizer states (stage 1), gradients (2) and parameters (3) are sharded over ranks.

The equations, micro-batches and scaling are those of the torch engine.  DeepSpeed averages over ranks, so a loss is
multiplied by their number; its own accumulation is left at 1, and the engine says which micro-batch is the last.

Deviations: a gradient that is not finite is known after DeepSpeed's update alone; the caller goes back to the last
good weights.  At stage 3 the terms of a loss have no gradients of their own, as DeepSpeed takes whole losses alone.
In bfloat16 the parameters are, too, with float32 masters; the torch engine casts them at each product.
"""

import contextlib
import logging
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist

from switchpoint.errors import InputError
from switchpoint.training.engine import ranks
from switchpoint.training.engine.torch import Engine, Figures, device, padded_response_logits
from switchpoint.training.llama import response_logits
from switchpoint.training.llama_parameters import Layer, Llama

TAG = "zero"  # of DeepSpeed's files in a state


class DeepSpeedEngine(Engine):
    """A model whose training state DeepSpeed shards by a ZeRO ``stage``; otherwise as ``Engine``."""

    def __init__(self, *args, stage: int, **kwargs):
        self.stage = stage
        super().__init__(*args, **kwargs)

    def take(self, model) -> None:
        """Shards the model, parameter by parameter at stage 3, and its optimizer."""
        deepspeed = started_deepspeed()
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
        if self.stage == 3:
            deepspeed.utils.set_z3_leaf_modules(model, [Layer], raise_if_not_found=False)
            dtype = getattr(torch, self.dtype)
            deepspeed.zero.Init(module=model.to(dtype), config_dict_or_path=self.settings(), dtype=dtype)
        betas, weight_decay = self.numbers.betas, self.numbers.weight_decay
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=self.numbers.learning_rate, betas=betas, weight_decay=weight_decay
        )
        self.zero, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=self.settings())
        self.model, self.called = self.zero.module, self.zero
        for name, buffer in buffers.items():  # bfloat16 is too coarse for the frequencies of positions
            module, _, own = name.rpartition(".")
            setattr(self.model.get_submodule(module), own, buffer.to(device()))

    def settings(self) -> dict:
        """DeepSpeed's configuration."""
        return {
            "train_micro_batch_size_per_gpu": 1,  # counts nothing here: the engine deals the micro-batches
            "gradient_accumulation_steps": 1,
            "gradient_clipping": self.numbers.max_grad_norm,
            "bf16": {"enabled": self.dtype == "bfloat16"},
            "data_types": {"grad_accum_dtype": "fp32"},
            "zero_optimization": {"stage": self.stage, "stage3_param_persistence_threshold": 0},
            "zero_allow_untested_optimizer": True,
            "steps_per_print": None,
        }

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        """Adds a micro-batch's share to the gradient, which DeepSpeed averages over the ranks."""
        self.zero.set_gradient_accumulation_boundary(last)
        self.zero.backward(loss * ranks.world())

    def update(self, rate: float | None) -> float:
        """The gradient's norm; updates with its clipped gradient, if there is a rate."""
        if rate is None:
            return math.nan
        for group in self.zero.optimizer.param_groups:
            group["lr"] = rate
        self.zero.step()
        return float(self.zero.get_global_grad_norm())

    def logits(self, pairs: list[tuple[list[int], list[int]]]) -> torch.Tensor:
        """Float32 logits (response tokens, vocabulary) of (prompt, response) ids."""
        if isinstance(self.model, Llama):
            recompute = self.numbers.gradient_checkpointing and torch.is_grad_enabled()
            return self.called(response_logits, pairs, recompute)
        return padded_response_logits(self.called, pairs, self.pad_token_id)

    def term_gradients(self, *args) -> Figures:
        """As the torch engine's; nothing at stage 3."""
        if self.stage == 3:
            return {}
        self.called = self.model  # DeepSpeed would take every term for the update's loss
        figures = super().term_gradients(*args)
        self.called = self.zero
        return figures

    def shards(self) -> list[torch.Tensor]:
        """What this rank holds of the parameters."""
        return [getattr(one, "ds_tensor", one.data) for one in self.model.parameters()]

    def is_finite(self) -> bool:
        """Whether all weights are finite, on all ranks."""
        own = all(torch.isfinite(shard).all() for shard in self.shards())
        return ranks.total({"broken": float(not own)})["broken"] == 0

    def snapshot(self) -> list[torch.Tensor]:
        """A copy of the weights, for ``restore``."""
        return [shard.clone() for shard in self.shards()]

    @torch.no_grad()
    def restore(self, weights: list[torch.Tensor]) -> None:
        """Puts a snapshot's weights back, to be written; the masters of an update stay."""
        for shard, kept in zip(self.shards(), weights, strict=True):
            shard.copy_(kept)

    def gathered(self, *modules: torch.nn.Module) -> contextlib.AbstractContextManager:
        """A context in which the modules' parameters are whole."""
        return self.whole(list(dict.fromkeys(one for module in modules for one in module.parameters())))

    def whole(self, parameters: list[torch.nn.Parameter]) -> contextlib.AbstractContextManager:
        """A context in which the parameters are whole."""
        import deepspeed

        return deepspeed.zero.GatheredParameters(parameters, enabled=self.stage == 3)

    def weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """The model's weights by transformers' names, gathered one after the other; all ranks take part."""
        for name, parameter in self.model.named_parameters(remove_duplicate=False):
            with self.whole([parameter]):
                yield name, parameter.detach().clone()
        kept = self.model.state_dict().keys()
        yield from ((name, buffer) for name, buffer in self.model.named_buffers() if name in kept)

    def save(self, path: Path, progress: dict) -> None:
        """Every rank's shards and rank 0's progress, in a directory that a record makes whole."""
        self.zero.save_checkpoint(str(path), tag=TAG, save_latest=False)
        if ranks.is_main():
            kept = {"ranks": ranks.world(), "steps": self.steps, "progress": progress}
            torch.save(kept, path / "progress.pt")
        ranks.wait()

    def load(self, path: Path) -> dict:
        """Restores what ``save`` wrote; returns the run's progress.  InputError with another number of ranks."""
        kept = torch.load(path / "progress.pt", weights_only=True)
        if kept["ranks"] != ranks.world():
            raise InputError(
                f"{path} was saved by {kept['ranks']} processes, and this run has {ranks.world()}: "
                f"start as many again, or delete {path.parent} to train from the start"
            )
        self.zero.load_checkpoint(str(path), tag=TAG)
        self.steps = kept["steps"]
        return kept["progress"]


def started_deepspeed():
    """The library, with the processes joined; it compiles nothing, as its own start would for minutes."""
    try:
        import deepspeed
    except ModuleNotFoundError as error:
        raise InputError(f"model.engine is deepspeed, and {error}; install DeepSpeed, or say torch") from None
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    warnings.filterwarnings(
        "ignore", category=FutureWarning, module="torch.distributed"
    )  # its calls of old names
    from deepspeed.accelerator import get_accelerator
    from deepspeed.ops import __compatible_ops__

    builder = get_accelerator().create_op_builder("ShareMemCommBuilder")
    if builder is not None:
        __compatible_ops__[builder.NAME] = False
    os.environ.setdefault("LOCAL_RANK", "0")
    if not dist.is_initialized():  # one process alone
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    deepspeed.init_distributed(verbose=False)
    return deepspeed
