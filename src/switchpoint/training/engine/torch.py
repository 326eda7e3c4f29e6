"""The training engine in plain torch: with ``ranks`` and ``deepspeed`` all that knows devices, ranks and shards.

Of several ranks each computes every n-th micro-batch of an update, and their gradients are added up.
"""

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.optim.adamw import adamw

from switchpoint import files
from switchpoint.errors import DivergedError
from switchpoint.study.config import Optimizer
from switchpoint.training.engine import ranks
from switchpoint.training.engine.batch import Sequence, TokenBatch, Totals, collate
from switchpoint.training.llama import response_logits
from switchpoint.training.llama_parameters import Llama

Figures = dict[str, float]
LossOf = Callable[[TokenBatch], tuple[torch.Tensor, Figures]]


def device() -> torch.device:
    """The accelerator if there is one, else the CPU."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return accelerator or torch.device("cpu")


def device_name() -> str:
    """The accelerator's name, as its maker gives it, or its kind."""
    return torch.cuda.get_device_name() if device().type == "cuda" else device().type


def configure(seed: int) -> None:
    """One thread unless OMP_NUM_THREADS says otherwise, deterministic kernels, seeded."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms, without importing a compiler
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing here reads such memory
    torch.manual_seed(seed)


def constant(step: int) -> float:
    """No schedule: the learning rate as it is at every step."""
    return 1.0


class AdamW:
    """torch's AdamW by its function: its class imports a compiler, which takes a second of every job.

    ``moments`` holds the means of the gradients, those of their squares, and the numbers of steps.
    """

    def __init__(self, model, numbers: Optimizer):
        self.parameters, self.numbers = list(model.parameters()), numbers
        zeros = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.moments = zeros, [one.clone() for one in zeros], [torch.tensor(0.0) for _ in zeros]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """One update of every parameter that has a gradient."""
        used = [row for row, parameter in enumerate(self.parameters) if parameter.grad is not None]
        parameters = [self.parameters[row] for row in used]
        means, squares, steps = ([moments[row] for row in used] for moments in self.moments)
        beta1, beta2 = self.numbers.betas
        adamw(
            parameters, [parameter.grad for parameter in parameters], means, squares, [], steps,
            foreach=device().type != "cpu", amsgrad=False, beta1=beta1, beta2=beta2, lr=learning_rate,
            weight_decay=self.numbers.weight_decay, eps=1e-8, maximize=False,
        )  # fmt: skip


class Engine:
    """A model and its AdamW optimizer.

    The policy is the softmax of logits / ``temperature``; ``schedule(step)`` multiplies the learning rate.
    With the ``dtype`` bfloat16 the matrix products are in it, weights and moments in float32.
    """

    def __init__(
        self,
        model,
        optimizer: Optimizer,
        pad_token_id: int,
        *,
        temperature: float = 1.0,
        schedule: Callable[[int], float] = constant,
        dtype: str = "float32",
    ):
        self.numbers, self.pad_token_id, self.dtype = optimizer, pad_token_id, dtype
        self.temperature, self.schedule = temperature, schedule
        if optimizer.gradient_checkpointing and not isinstance(model, Llama):
            model.gradient_checkpointing_enable({"use_reentrant": False})
        self.steps, self.seed = 0, torch.initial_seed()
        self.take(model)

    def take(self, model) -> None:
        """Puts the model on the device, and makes its optimizer."""
        self.model = model.to(device())
        self.optimizer = AdamW(self.model, self.numbers)

    def step(self, sequences: list[Sequence], loss_of: LossOf) -> Figures:
        """One optimizer update on the sequences, which are the same on all ranks.

        ``loss_of`` gets a micro-batch with the policy's log-probabilities, and returns its
        share of the update's loss and of whatever figures are logged; shares add up.  Returns their sums,
        ``loss`` and ``norm``, the gradient's before clipping.  DivergedError, without an update, where
        loss or norm is not finite, and after it where a weight is not.
        """
        figures: Figures = {"loss": 0.0}
        self.model.train()
        torch.manual_seed(self.seed + self.steps + (ranks.rank() << 40))  # of dropout: a resumed run repeats
        mine = self.deal(sequences)
        for number, rows in enumerate(mine, start=1):
            batch = self.microbatch(sequences, rows)
            self.forward(batch)
            loss, shares = loss_of(batch)
            self.backward(loss if rows else loss * 0.0, last=number == len(mine))
            for name, share in ({"loss": loss.item()} | shares).items():
                figures[name] = figures.get(name, 0.0) + (share if rows else 0.0)
        self.model.eval()
        figures = ranks.total(figures)
        finite = math.isfinite(figures["loss"])
        rate = self.numbers.learning_rate * self.schedule(self.steps)
        figures["norm"] = self.update(rate if finite else None)
        if not finite or not math.isfinite(figures["norm"]):
            raise DivergedError(
                f"update {self.steps + 1}: loss {figures['loss']}, gradient norm {figures['norm']}; "
                "lower the learning rate"
            )
        self.steps += 1
        if not self.is_finite():
            raise DivergedError(f"update {self.steps}: a weight is not finite; lower the learning rate")
        return figures

    def backward(self, loss: torch.Tensor, last: bool) -> None:
        """Adds a micro-batch's share to the gradient; ``last``: of this rank's in the update."""
        loss.backward()

    def update(self, rate: float | None) -> float:
        """The gradient's norm; updates with its clipped gradient, if there is a rate and the norm is finite."""
        parameters = list(self.model.parameters())
        ranks.add_up([one.grad for one in parameters if one.grad is not None])
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, self.numbers.max_grad_norm))
        if rate is not None and math.isfinite(norm):
            self.optimizer.step(rate)
        self.model.zero_grad(set_to_none=True)
        return norm

    def is_finite(self) -> bool:
        """Whether all weights are finite."""
        return all(torch.isfinite(parameter).all() for parameter in self.model.parameters())

    def term_gradients(
        self, sequences: list[Sequence], terms_of: Callable[[TokenBatch], dict[str, torch.Tensor]],
        one_side: tuple[str, ...],
    ) -> Figures:  # fmt: skip
        """``norm_<term>``, the gradient's of each term of the loss, and ``cosine``, between the sum of those on
        ``one_side`` and the sum of the others; 0 where one of them is 0.  Nothing is updated."""
        parameters = [one for one in self.model.parameters() if one.requires_grad]
        sums: dict[str, torch.Tensor] = {}
        for rows in self.deal(sequences):
            batch = self.microbatch(sequences, rows)
            self.forward(batch)
            for name, term in terms_of(batch).items():
                term = term if rows else term * 0.0
                found = torch.autograd.grad(term, parameters, retain_graph=True, materialize_grads=True)
                gradient = torch.cat([one.flatten() for one in found])
                sums[name] = sums[name] + gradient if name in sums else gradient
        ranks.add_up(list(sums.values()))
        first, second = (
            sum((sums[name] for name in sums if (name in one_side) == side), torch.zeros(()))
            for side in (True, False)
        )
        norms = {f"norm_{name}": float(gradient.norm()) for name, gradient in sums.items()}
        product = float(first.norm() * second.norm())
        return norms | {"cosine": float((first * second).sum()) / product if product else 0.0}

    @torch.no_grad()
    def logprobs(self, sequences: list[Sequence]) -> list[torch.Tensor]:
        """Log-probabilities of every sequence's response tokens, on the CPU."""
        found = []
        for rows in self.deal(sequences):
            batch = self.microbatch(sequences, rows)
            self.forward(batch)
            counted = zip(rows, batch.logprobs, batch.mask, strict=False)  # none of an empty micro-batch
            found.append([(row, logprobs[mask.bool()].cpu()) for row, logprobs, mask in counted])
        by_row = dict(pair for part in ranks.gather(found) for pair in part)
        return [by_row[row] for row in range(len(sequences))]

    def check_finite(self, sequence: Sequence) -> None:
        """DivergedError unless the model's log-probabilities of the sequence are finite."""
        if not torch.isfinite(self.logprobs([sequence])[0]).all():
            raise DivergedError(
                f"update {self.steps}: the model's output is not finite; lower the learning rate"
            )

    def snapshot(self) -> list[torch.Tensor]:
        """A copy of the weights, for ``restore``."""
        return [parameter.detach().clone() for parameter in self.model.parameters()]

    @torch.no_grad()
    def restore(self, weights: list[torch.Tensor]) -> None:
        """Puts a snapshot's weights back."""
        for parameter, kept in zip(self.model.parameters(), weights, strict=True):
            parameter.copy_(kept)

    def deal(self, sequences: list[Sequence]) -> list[list[int]]:
        """This rank's micro-batches, by the sequences' indices; empty where others have one more.

        In the order given where rows are packed, which keeps the rollouts of a prompt together; else by
        length, which saves padding.
        """
        size, order = self.numbers.microbatch_size, list(range(len(sequences)))
        if not isinstance(self.model, Llama):
            order.sort(key=lambda row: len(sequences[row]))
        parts = [order[first : first + size] for first in range(0, len(order), size)]
        parts += [[]] * (-len(parts) % ranks.world())
        return ranks.share(parts)

    def microbatch(self, sequences: list[Sequence], rows: list[int]) -> TokenBatch:
        """The micro-batch of these rows of an update; without any, a row whose loss is not to count."""
        microbatches = math.ceil(len(sequences) / self.numbers.microbatch_size)
        totals = Totals.of(sequences, microbatches)
        return collate([sequences[row] for row in rows or [0]], device(), totals)

    def forward(self, batch: TokenBatch) -> None:
        """Fills in the policy's logits and its log-probabilities of the response tokens."""
        pairs = [(one.prompt, one.response) for one in batch.sequences]
        batch.logits = self.logits(pairs) / self.temperature
        tokens = torch.tensor([token for _, response in pairs for token in response], device=device())
        chosen = batch.logits.gather(-1, tokens[:, None]).squeeze(-1)
        batch.logprobs = batch.pad(chosen - torch.logsumexp(batch.logits, dim=-1))

    def logits(self, pairs: list[tuple[list[int], list[int]]]) -> torch.Tensor:
        """Float32 logits (response tokens, vocabulary) of (prompt, response) ids."""
        with torch.autocast(device().type, torch.bfloat16, enabled=self.dtype == "bfloat16"):
            if isinstance(self.model, Llama):
                recompute = self.numbers.gradient_checkpointing and torch.is_grad_enabled()
                return response_logits(self.model, pairs, recompute)
            return padded_response_logits(self.model, pairs, self.pad_token_id)

    def gathered(self, *modules: torch.nn.Module) -> contextlib.AbstractContextManager:
        """A context in which the modules' parameters are whole."""
        return contextlib.nullcontext()

    def weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """The model's weights by transformers' names, one after the other; all ranks take part."""
        for name, tensor in self.model.state_dict().items():
            yield name, tensor.detach()

    def save(self, path: Path, progress: dict) -> None:
        """Model, optimizer, step count and the run's own progress, in one atomic write by rank 0."""
        if not ranks.is_main():
            return
        state = {
            "model": self.model.state_dict(),
            "moments": self.optimizer.moments,
            "steps": self.steps,
            "progress": progress,
        }
        with files.atomic(path) as temporary, temporary.open("wb") as file:
            try:
                torch.save(state, file)
            except RuntimeError as error:  # of torch's own, behind which it hides that of the file
                raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None

    def load(self, path: Path) -> dict:
        """Restores what ``save`` wrote; returns the run's progress."""
        state = torch.load(path, map_location=device(), weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.moments = state["moments"]
        self.steps = state["steps"]
        return state["progress"]


def padded_response_logits(
    model, pairs: list[tuple[list[int], list[int]]], pad_token_id: int
) -> torch.Tensor:
    """What ``llama.response_logits`` computes, by any causal language model of transformers.

    The rows are padded on the right, and no attention mask is needed: under causal attention a real token
    never sees the padding behind it.
    """
    longest = max(len(prompt) + len(response) for prompt, response in pairs)
    rows = [[*p, *r] + [pad_token_id] * (longest - len(p) - len(r)) for p, r in pairs]
    logits = model(input_ids=torch.tensor(rows, device=device()), use_cache=False).logits.float()
    where = [(row, len(p) + n - 1) for row, (p, r) in enumerate(pairs) for n in range(len(r))]
    return logits[tuple(torch.tensor(where, device=device()).t())]
