"""What a study will cost: exaFLOPs of every run by the equations of `flops`, GPU-hours, and bounds on the time
that a number of GPUs takes; evaluations by themselves.

Curation is not in it.  Lengths that the study has measured (`data/statistics.csv`) stand in for those that
it expects, and the utilisation that its logs show for the expected one.
"""

import csv
import dataclasses
import json
from pathlib import Path

from switchpoint import flops
from switchpoint.errors import InputError
from switchpoint.flops import Architecture
from switchpoint.study import paths
from switchpoint.study.expand import Expansion
from switchpoint.study.names import RunName
from switchpoint.study.sources import Hub, TinyBase


@dataclasses.dataclass(frozen=True)
class Cost:
    """A job's training, or its evaluation: exaFLOPs (Eq. 18-27), hours and the GPUs that it holds; None where they hang on what is not known."""

    exaflops: float | None
    hours: float | None
    gpus: int

    @property
    def gpu_hours(self) -> float | None:
        """Hours of all its GPUs."""
        return None if self.hours is None else self.hours * self.gpus


class Forecast:
    """The costs of one study's runs."""

    def __init__(self, study: Expansion) -> None:
        self.study, self.expected = study, study.study.plan
        self.architecture = architecture_of(study)
        self.measured = read_lengths(study)
        self.mfu = {stage: read_mfu(study, stage) or self.expected.mfu for stage in ("sft", "rl")}

    def of(self, run: RunName, share: float = 1.0) -> Cost:
        """Of a run, or of a share of its steps."""
        needs = self.study.needs(run.phase)
        exaflops = self.sft(run) if run.phase == "sft" else self.rl(run)
        gpus = needs.nodes * needs.on_each_node
        return self.cost(None if exaflops is None else exaflops * share, run.phase, gpus)

    def evaluation(self, samples: float | None) -> Cost:
        """Of so many samples on one GPU: a forward pass over each, as long as RL's rollouts and at RL's utilisation."""
        length = self.length("rl")
        if samples is None or length is None or self.architecture is None:
            return Cost(None, None, 1)
        one = flops.paradigm_step(
            self.architecture, "evaluation", batch_size=samples, group_size=1, mean_length=length
        )
        return self.cost(one / flops.EXA, "rl", 1)

    def cost(self, exaflops: float | None, stage: str, gpus: int) -> Cost:
        """Of so many exaFLOPs on so many GPUs, at the stage's utilisation."""
        if exaflops is None or not self.peak:
            return Cost(exaflops, None, gpus)
        return Cost(exaflops, flops.gpu_hours(exaflops, self.peak, self.mfu[stage]) / gpus, gpus)

    @property
    def peak(self) -> float:
        """FLOP/s of one GPU; 0 where the study names none."""
        return flops.PEAKS[self.expected.device] if self.expected.device else 0.0

    def length(self, name: str) -> float | None:
        """Mean tokens of a sequence, prompt and response, of a set; of RL's rollouts for `rl`."""
        return self.measured.get(name, self.expected.tokens.get(name))

    def sft(self, run: RunName) -> float | None:
        """exaFLOPs of an SFT run (Eq. 21)."""
        configured, length = self.study.study.sft[run.set], self.length(run.set)
        if length is None or self.architecture is None:
            return None
        one = flops.paradigm_step(
            self.architecture, "sft", batch_size=configured.batch_size, mean_length=length
        )
        return one * configured.steps / flops.EXA

    def rl(self, run: RunName) -> float | None:
        """exaFLOPs of an RL run (Eq. 22-27), all its steps of full batches: DAPO's with the expected rounds, UPT's without
        experts, as it trains on them where a group fails.
        """
        rl, numbers = self.study.study.rl, self.study.numbers(run.algorithm)
        length, expert = self.length("rl"), self.length("experts") or self.length("rl")
        if length is None or self.architecture is None:
            return None
        batch = {"batch_size": rl.batch_size, "mean_length": length}
        if numbers.experts == "in_group":
            what = {"group_size": rl.rollouts - 1, "n_experts": 1, "expert_length": expert}
            one = flops.paradigm_step(self.architecture, "luffy", **batch, **what)
        elif numbers.dynamic_sampling:
            generated = numbers.generation_batch or 2 * rl.batch_size
            if numbers.generation_unit == "responses":
                generated /= rl.rollouts
            what = {"rounds": self.expected.rounds, "generation_batch": generated, "group_size": rl.rollouts}
            one = flops.paradigm_step(self.architecture, "dapo", **batch, **what)
        else:
            one = flops.paradigm_step(self.architecture, "grpo", **batch, group_size=rl.rollouts)
        return one * rl.steps / flops.EXA


def architecture_of(study: Expansion) -> Architecture | None:
    """The base model's: of its directory, else of the bundled name that the hub's ends with; None while there is neither."""
    if Path(study.base, "config.json").is_file():
        return flops.architecture(study.base)
    converted = study.study.model.converted
    if isinstance(converted, TinyBase):
        return flops.architecture(paths.TINY_BASE)
    name = converted.name.rpartition("/")[2] if isinstance(converted, Hub) and not converted.toy else None
    return flops.BUNDLED.get(name)


def read_lengths(study: Expansion) -> dict[str, float]:
    """The mean tokens of the sequences of the sets that are made, by their data card."""
    path = Path(study.path(paths.STATISTICS))
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    sets = study.study.data.sets
    try:
        return {
            row["set"]: float(row["prompt_tokens"]) + float(row["response_tokens"])
            for row in rows
            if row["set"] in sets
        }
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} is no data card ({error}); delete it and run snakemake again") from None


def read_mfu(study: Expansion, stage: str) -> float | None:
    """The mean utilisation in the logs of the stage's runs, each by its last step; None where none shows it."""
    found = []
    for path in Path(study.path(f"logs/{stage}")).rglob("*.jsonl"):
        lines = path.read_text(encoding="utf-8").splitlines()
        if lines and (mfu := json.loads(lines[-1]).get("mfu")):
            found.append(mfu)
    return sum(found) / len(found) if found else None


def makespan(costs: dict[RunName, Cost], gpus: int) -> tuple[float, float] | None:
    """Hours that the runs take on so many GPUs: no schedule takes less than the first, and one that never leaves a run
    waiting that could start takes no more than the second.  RL waits for the SFT run that it starts from.

    None where hours are not known.  InputError when a job needs more GPUs.

    While a run waits for GPUs, fewer than its own are idle; else a run of the longest chain is running.  And some run is
    running always, so one after another is the longest.
    """
    widest = max((cost.gpus for cost in costs.values()), default=0)
    if widest > gpus:
        raise InputError(f"--gpus is {gpus}, but one job holds {widest}; give as many, or lower resources")
    if any(cost.hours is None for cost in costs.values()):
        return None
    work = sum(cost.gpu_hours or 0 for cost in costs.values())
    sft = {(run.set, run.seed): cost.hours for run, cost in costs.items() if run.phase == "sft"}
    chains = [
        (cost.hours or 0) + (sft.get((run.set, run.seed), 0) if run.phase == "rl" else 0)
        for run, cost in costs.items()
    ]
    longest = max(chains, default=0)
    one_by_one = sum(cost.hours or 0 for cost in costs.values())
    return max(work / gpus, longest), min(work / (gpus - widest + 1) + longest, one_by_one)
