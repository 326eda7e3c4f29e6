"""What tags mean where the format itself says it: scores, validation losses, seconds, and how a cost is counted.

Only what is certain is here.  A mean reward is the share of right answers where the reward is 1 or 0, which is
said; an ``eval_accuracy`` may be that of tokens, so it is not here.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

ACCURACY = (
    r"(?:acc|acc_norm|exact_match|em|qem|pem|pqem|extractive_match|math_verify|mc[12]|\w*pass_?@?(?:at_)?\w*|avg@\w*"
    r"|\w+_level_(?:strict|loose)_acc|\w+_gold_metric)"
)
"""The metrics of the harnesses that are fractions of right answers."""
HARNESS = re.compile(rf"(?P<task>.+)/(?P<metric>{ACCURACY}(?:[@:][^,]*)?)(?P<filter>,.+)?")
FRACTIONS = (
    re.compile(r"val-core/(.+)/acc/mean@\d+"),  # verl
    re.compile(r"eval[_/](?:(.+)_)?rewards/accuracy_reward(?:/mean)?"),  # TRL's own reward
)
REWARDS = (
    re.compile(r"val-core/(.+)/reward/mean@\d+"),  # verl, of data without an accuracy
    re.compile(r"val/test_score/(.+)"),  # its older versions
    re.compile(r"(?:eval/)?eval_(.+)_pass1"),  # OpenRLHF
    re.compile(r"eval/(.+)/avg@\d+"),  # prime-rl
)
LOSSES = re.compile(r"eval[_/](?:\w+_)?loss|eval/eval[ _](?:gpt_)?loss|val/loss")
RL = re.compile(
    r"reward|(?:^|/)(?:critic|actor)/|policy_loss|pg_loss|^val-core/|^val/test_score/", re.IGNORECASE
)
SECONDS = (
    "timing_s/step", "perf/time_per_step", "step_time", "train/step_time", "timing/step_total",
    "train/timing/step_total", "time/step", "Time", "_runtime",
)  # fmt: skip
PER_STEP = {*SECONDS[:-1], "perf/total_num_tokens", "train/global_tokens", "progress/tokens"}
CUMULATIVE = {
    "_runtime", "num_tokens", "train/num_tokens", "num_input_tokens_seen", "train/num_input_tokens_seen",
    "progress/total_tokens", "train/total_tokens(B)", "exaflops",
}  # fmt: skip
"""By definition of the trainers; it decides where the data do not."""


SCORE_LIKE = re.compile(
    r"^(?!.*(?:stderr|[/_]std$)).*(?:acc|score|reward|pass|exact|match|correct|solve|mean@|avg@|maj@|best@|f1|(?:^|[/_])em(?:$|[/_]))",
    re.IGNORECASE,
)
EVALUATED = re.compile(r"(?:^|[/_-])(?:eval|val|valid|validation|test)", re.IGNORECASE)


class Score(NamedTuple):
    """A tag of scores: of which benchmark, and the tags of its standard error and number of problems, if any.

    ``task`` is the same of all metrics of one task, where a format has several of each.
    """

    benchmark: str
    is_reward: bool = False
    error: str | None = None
    number: str | None = None
    task: str | None = None


def known_scores(tags: Iterable[str]) -> dict[str, Score]:
    """Of a trainer's tags those that are fractions of right answers by definition, and rewards that may be these."""
    found = {}
    for tag in sorted(set(tags)):
        for patterns, is_reward in ((FRACTIONS, False), (REWARDS, True)):
            match = next((match for pattern in patterns if (match := pattern.fullmatch(tag))), None)
            if match:
                found[tag] = Score(match[1] or "accuracy", is_reward)
    return found


def harness_scores(tags: Iterable[str]) -> dict[str, Score]:
    """The accuracies of an evaluation: named by their task, or by the tag where the task has several."""
    tags = sorted(set(tags))
    matches = {tag: found for tag in tags if (found := HARNESS.fullmatch(tag)) and "stderr" not in tag}
    of_task: dict[str, list[str]] = {}
    for tag, found in matches.items():
        of_task.setdefault(found["task"], []).append(tag)
    scores = {}
    for tag, found in matches.items():
        task, error = found["task"], f"{found['task']}/{found['metric']}_stderr{found['filter'] or ''}"
        name = task if len(of_task[task]) == 1 else tag
        of_problems = not found["metric"].startswith(
            "inst_level"
        )  # of ifeval: a problem has several instructions
        number = f"{task}/n" if of_problems else None
        scores[tag] = Score(name, False, error if error in tags else None, number, task)
    return scores


def likest_scores(tags: Iterable[str]) -> list[str]:
    """The tags, those first that look most like scores of an evaluation."""

    def unlike(tag: str) -> tuple:
        is_like, is_evaluated = bool(SCORE_LIKE.search(tag)), bool(EVALUATED.search(tag))
        return not (is_like and is_evaluated), not is_like, not is_evaluated, tag

    return sorted(tags, key=unlike)


def validation_losses(tags: Iterable[str]) -> list[str]:
    """The tags of validation losses of SFT; none in a log of RL, whose ``eval_loss`` is its objective's."""
    tags = sorted(set(tags))
    return [] if is_rl(tags) else [tag for tag in tags if LOSSES.fullmatch(tag)]


def is_rl(tags: Iterable[str]) -> bool:
    """Whether the tags are those of RL: rewards, an actor, or what only RL's trainers validate."""
    return any(RL.search(tag) for tag in tags)
