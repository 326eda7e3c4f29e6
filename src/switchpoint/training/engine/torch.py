"""The training engine: the one module that names a device.

Plain torch here; the interface is what a sharded engine has to offer as well.
Batches are padded on the right and no attention mask is passed: under causal attention
a real token never sees the padding behind it, and the loss mask drops the rest.
"""

import os
from collections.abc import Callable
from pathlib import Path

import torch

from switchpoint import files


def device() -> torch.device:
    """The accelerator if there is one, else the CPU."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return accelerator or torch.device("cpu")


def configure(seed: int) -> None:
    """One thread unless OMP_NUM_THREADS says otherwise, deterministic kernels, seeded."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms, without importing a compiler
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing here reads such memory
    torch.manual_seed(seed)


def pad_right(sequences: list[list[int]], pad_token_id: int) -> torch.Tensor:
    """Token ids as one tensor, shape (sequences, longest), on the device."""
    longest = max(map(len, sequences))
    rows = [ids + [pad_token_id] * (longest - len(ids)) for ids in sequences]
    return torch.tensor(rows, dtype=torch.long, device=device())


def by_length(lengths: list[int], size: int) -> list[list[int]]:
    """Indices in micro-batches of at most ``size`` sequences of similar length (less padding)."""
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    return [order[first : first + size] for first in range(0, len(order), size)]


def response_mask(prompt_lengths: list[int], lengths: list[int]) -> torch.Tensor:
    """1 where ``token_logprobs`` holds a response token, shape (sequences, longest - 1)."""
    position = torch.arange(1, max(lengths), device=device())[None, :]
    start = torch.tensor(prompt_lengths, device=device())[:, None]
    stop = torch.tensor(lengths, device=device())[:, None]
    return ((position >= start) & (position < stop)).float()


def token_logprobs(model, input_ids: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """log pi(token t | tokens before t) for t = 1 .. length - 1.

    ``input_ids`` (sequences, length), padded on the right; returns float32 of shape
    (sequences, length - 1).  The policy is the softmax of logits / temperature.
    """
    return chosen_logprobs(policy_logits(model, input_ids, temperature), input_ids)


def policy_logits(model, input_ids: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """logits / temperature that predict tokens 1 .. length - 1, shape (sequences, length - 1, vocabulary)."""
    return model(input_ids=input_ids, use_cache=False).logits[:, :-1].float() / temperature


def chosen_logprobs(logits: torch.Tensor, input_ids: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of the tokens that follow, from ``policy_logits``."""
    chosen = logits.gather(-1, input_ids[:, 1:, None]).squeeze(-1)
    return chosen - torch.logsumexp(logits, dim=-1)


def for_job(model, job: dict, schedule: Callable[[int], float] = lambda step: 1.0) -> "Engine":
    """The engine of a training job: its optimizer's numbers are in the job."""
    names = ("learning_rate", "betas", "weight_decay", "max_grad_norm")
    return Engine(model, schedule=schedule, **{name: job[name] for name in names})


class Engine:
    """A model and its AdamW optimizer; ``schedule(step)`` multiplies the learning rate."""

    def __init__(
        self,
        model,
        *,
        learning_rate: float,
        weight_decay: float,
        betas: tuple[float, float],
        max_grad_norm: float,
        schedule: Callable[[int], float] = lambda step: 1.0,
    ):
        self.model = model.to(device())
        self.max_grad_norm = max_grad_norm
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=learning_rate, weight_decay=weight_decay, betas=tuple(betas)
        )
        self.learning_rate, self.schedule = learning_rate, schedule
        self.steps = 0

    def backward(self, loss: torch.Tensor) -> None:
        """Adds one micro-batch's gradient; its loss is already divided by the whole batch's count."""
        loss.backward()

    def update(self) -> float:
        """One optimizer update on the gradients accumulated so far."""
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * self.schedule(self.steps)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        return float(norm)

    def save(self, path: Path, progress: dict) -> None:
        """Model, optimizer, step count and the run's own progress, in one atomic write."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
            "progress": progress,
        }
        with files.atomic(path) as temporary:
            torch.save(state, temporary)

    def load(self, path: Path) -> dict:
        """Restores what ``save`` wrote; returns the run's progress."""
        state = torch.load(path, map_location=device(), weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps = state["steps"]
        return state["progress"]
