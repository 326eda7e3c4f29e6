"""The training engine: the one module that names a device.

Plain torch here; the interface is what a sharded engine has to offer as well.
"""

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.optim.adamw import adamw

from switchpoint import files
from switchpoint.errors import DivergedError
from switchpoint.study.config import Optimizer
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
    """

    def __init__(
        self,
        model,
        optimizer: Optimizer,
        pad_token_id: int,
        *,
        temperature: float = 1.0,
        schedule: Callable[[int], float] = constant,
    ):
        self.model = model.to(device())
        self.numbers, self.pad_token_id = optimizer, pad_token_id
        self.temperature, self.schedule = temperature, schedule
        self.optimizer = AdamW(self.model, optimizer)
        if optimizer.gradient_checkpointing and not isinstance(model, Llama):
            model.gradient_checkpointing_enable({"use_reentrant": False})
        self.steps, self.seed = 0, torch.initial_seed()

    def step(self, sequences: list[Sequence], loss_of: LossOf) -> Figures:
        """One optimizer update on the sequences.

        ``loss_of`` gets a micro-batch with the policy's log-probabilities, and returns its
        share of the update's loss and of whatever figures are logged; shares add up.  Returns their sums,
        ``loss`` and ``norm``, the gradient's before clipping.  DivergedError, without an update, where
        loss or norm is not finite, and after it where a weight is not.
        """
        figures: Figures = {"loss": 0.0}
        self.model.train()
        torch.manual_seed(self.seed + self.steps)  # of dropout: a resumed run repeats
        for _, batch in self.microbatches(sequences):
            self.forward(batch)
            loss, shares = loss_of(batch)
            loss.backward()
            for name, share in ({"loss": loss.item()} | shares).items():
                figures[name] = figures.get(name, 0.0) + share
        self.model.eval()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.numbers.max_grad_norm)
        figures["norm"] = float(norm)
        if not math.isfinite(figures["loss"]) or not math.isfinite(figures["norm"]):
            self.model.zero_grad(set_to_none=True)
            raise DivergedError(
                f"update {self.steps + 1}: loss {figures['loss']}, gradient norm {figures['norm']}; "
                "lower the learning rate"
            )
        self.optimizer.step(self.numbers.learning_rate * self.schedule(self.steps))
        self.model.zero_grad(set_to_none=True)
        self.steps += 1
        if not all(torch.isfinite(parameter).all() for parameter in self.model.parameters()):
            raise DivergedError(f"update {self.steps}: a weight is not finite; lower the learning rate")
        return figures

    def term_gradients(
        self, sequences: list[Sequence], terms_of: Callable[[TokenBatch], dict[str, torch.Tensor]],
        one_side: tuple[str, ...],
    ) -> Figures:  # fmt: skip
        """``norm_<term>``, the gradient's of each term of the loss, and ``cosine``, between the sum of those on
        ``one_side`` and the sum of the others; 0 where one of them is 0.  Nothing is updated."""
        parameters = [one for one in self.model.parameters() if one.requires_grad]
        sums: dict[str, torch.Tensor] = {}
        for _, batch in self.microbatches(sequences):
            self.forward(batch)
            for name, term in terms_of(batch).items():
                found = torch.autograd.grad(term, parameters, retain_graph=True, materialize_grads=True)
                gradient = torch.cat([one.flatten() for one in found])
                sums[name] = sums[name] + gradient if name in sums else gradient
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
        result: list[torch.Tensor] = [torch.empty(0)] * len(sequences)
        for rows, batch in self.microbatches(sequences):
            self.forward(batch)
            for row, logprobs, mask in zip(rows, batch.logprobs, batch.mask, strict=True):
                result[row] = logprobs[mask.bool()].cpu()
        return result

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

    def microbatches(self, sequences: list[Sequence]) -> Iterator[tuple[list[int], TokenBatch]]:
        """The sequences in micro-batches: their indices and tensors.

        In the order given where rows are packed, which keeps the rollouts of a prompt together; else by
        length, which saves padding.
        """
        size = self.numbers.microbatch_size
        totals = Totals.of(sequences, microbatches=math.ceil(len(sequences) / size))
        order = list(range(len(sequences)))
        if not isinstance(self.model, Llama):
            order.sort(key=lambda row: len(sequences[row]))
        for first in range(0, len(order), size):
            rows = order[first : first + size]
            yield rows, collate([sequences[row] for row in rows], device(), totals)

    def forward(self, batch: TokenBatch) -> None:
        """Fills in the policy's logits and its log-probabilities of the response tokens."""
        pairs = [(one.prompt, one.response) for one in batch.sequences]
        if isinstance(self.model, Llama):
            recompute = self.numbers.gradient_checkpointing and torch.is_grad_enabled()
            logits = response_logits(self.model, pairs, recompute)
        else:
            logits = padded_response_logits(self.model, pairs, self.pad_token_id)
        batch.logits = logits / self.temperature
        tokens = torch.tensor([token for _, response in pairs for token in response], device=device())
        chosen = batch.logits.gather(-1, tokens[:, None]).squeeze(-1)
        batch.logprobs = batch.pad(chosen - torch.logsumexp(batch.logits, dim=-1))

    def save(self, path: Path, progress: dict) -> None:
        """Model, optimizer, step count and the run's own progress, in one atomic write."""
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
