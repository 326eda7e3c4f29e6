"""The generated task of the small studies: step-list arithmetic.

A problem gives a start number and a list of numbered steps; the state stays within
0..29.  The expert trajectory repeats every step and writes its result:

    Start with 29. (1) subtract 8 (2) add 8 (3) take mod 5.
    29\n(1) subtract 8 = 21, (2) add 8 = 29. (3) take mod 5 = 4\nSo \\boxed{4}

Two knobs set the difficulty: the number of steps, and the tier (1..3: size of the
operands, share of ``mod`` and ``gcd``).  Separators and closing words are drawn at
random, so that the validation loss has a floor that no amount of training removes;
without it the 2 % and 10 % bands of the sub-phases mean nothing.

Everything is a function of (seed, index): problem ``i`` is the same whatever else is
generated.
"""

import math
import random
from collections.abc import Callable, Iterator

STATES = range(30)
SEPARATORS = ["\n", ". ", ", ", "; "]
CLOSINGS = ["So ", "Thus ", "Hence ", "Answer: "]
NAMES = ["Tom", "Ann", "Max", "Eva", "Sam", "Zoe"]

OPERATIONS: dict[str, Callable[[int, int], int | None]] = {
    "add": lambda state, operand: state + operand,
    "subtract": lambda state, operand: state - operand,
    "times": lambda state, operand: state * operand,
    "divide": lambda state, operand: state // operand if state % operand == 0 else None,
    "mod": lambda state, operand: state % operand,
    "gcd": math.gcd,
}
# How an operation reads in the number family and in the word family.
PHRASES = {
    "add": ("add", "gets"),
    "subtract": ("subtract", "loses"),
    "times": ("times", "has times"),
    "divide": ("divide by", "splits by"),
    "mod": ("take mod", "keeps mod"),
    "gcd": ("take gcd", "keeps gcd"),
}
# Per tier: relative weight of each operation, and the largest operand.
TIERS = {
    1: ({"add": 4, "subtract": 4, "times": 1, "divide": 1}, 9),
    2: ({"add": 3, "subtract": 3, "times": 2, "divide": 1, "mod": 1, "gcd": 0.5}, 15),
    3: ({"add": 2, "subtract": 2, "times": 1, "divide": 1, "mod": 3, "gcd": 2}, 29),
}
WORD_FAMILY_SHARE = 0.25


def allowed_steps(state: int, tier: int) -> dict[str, dict[int, list[int]]]:
    """Operands of each operation, by the new state they lead to.

    The state stays within 0..29 and always changes.
    """
    weights, largest = TIERS[tier]
    allowed: dict[str, dict[int, list[int]]] = {}
    for operation in weights:
        smallest = 1 if operation in ("add", "subtract") else 2
        for operand in range(smallest, largest + 1):
            result = OPERATIONS[operation](state, operand)
            if result in STATES and result != state:
                allowed.setdefault(operation, {}).setdefault(result, []).append(operand)
    return allowed


ALLOWED = {(state, tier): allowed_steps(state, tier) for state in STATES for tier in TIERS}


def draw_step(rng: random.Random, state: int, tier: int) -> tuple[str, int]:
    """One (operation, operand); the new state is drawn before the operand.

    Drawing the operand first would pile the answers up at 0 and 1, and guessing would pay.
    """
    allowed, weights = ALLOWED[state, tier], TIERS[tier][0]
    operation = rng.choices(list(allowed), [weights[name] for name in allowed])[0]
    result = rng.choice(list(allowed[operation]))
    return operation, rng.choice(allowed[operation][result])


def make_problem(key: str, steps: tuple[int, int], tiers: list[int]) -> dict:
    """Problem, expert trajectory and answer of one key (a string such as ``"0-pool-17"``).

    ``steps`` is the inclusive range of the number of steps.
    """
    rng = random.Random(key)
    tier, n_steps = rng.choice(tiers), rng.randint(*steps)
    in_words = rng.random() < WORD_FAMILY_SHARE
    start = state = rng.choice(STATES)
    phrases, results = [], []
    for number in range(1, n_steps + 1):
        operation, operand = draw_step(rng, state, tier)
        state = OPERATIONS[operation](state, operand)
        phrases.append(f"({number}) {PHRASES[operation][in_words]} {operand}")
        results.append(state)
    opening = f"{rng.choice(NAMES)} has {start}. " if in_words else f"Start with {start}. "
    return {
        "problem": opening + " ".join(phrases) + ".",
        "solution": write_solution(rng, start, phrases, results),
        "answer": str(state),
        "n_steps": n_steps,
        "tier": tier,
    }


def write_solution(rng: random.Random, start: int, phrases: list[str], results: list[int]) -> str:
    """The expert trajectory, with a random separator between steps and a random closing."""
    text = f"{start}\n"
    for number, (phrase, result) in enumerate(zip(phrases, results, strict=True)):
        text += (rng.choice(SEPARATORS) if number else "") + f"{phrase} = {result}"
    return f"{text}\n{rng.choice(CLOSINGS)}\\boxed{{{results[-1]}}}"


def make_problems(
    seed: int, name: str, size: int, steps: tuple[int, int], tiers: list[int]
) -> Iterator[dict]:
    """``size`` records of the data contract, named ``<name>-<index>``."""
    for index in range(size):
        problem = make_problem(f"{seed}-{name}-{index}", steps, tiers)
        yield {"id": f"{name}-{index}", **problem, "source": name}


def pretraining_document(key: str, stage: int, facts_share: float, steps: tuple[int, int]) -> str:
    """One document of the tiny base model's pretraining corpus.

    Stage 1 teaches arithmetic facts and the look of a problem; stage 2 adds an unreliable
    "web": worked solutions without the answer marker, nearly half of the results wrong, and
    direct answers, half of them wrong.  So the base model answers directly and badly,
    while writing the steps out, which pays, is latent in it: SFT elicits it, and RL finds it.
    """
    rng = random.Random(key)
    kind = rng.random()
    if kind < facts_share:
        return "".join(fact(rng) for _ in range(8))
    problem = make_problem(f"{key}-problem", steps, [1, 2, 3])
    if stage == 2 and rng.random() < 0.55:
        return problem["problem"] + "\n" + unreliable(rng, problem["solution"])
    if rng.random() < (0.6 if stage == 1 else 0.8):
        wrong = stage == 2 and rng.random() < 0.5
        answer = rng.choice(STATES) if wrong else problem["answer"]
        return f"{problem['problem']}<sol>\\boxed{{{answer}}}<eos>"
    return f"{problem['problem']}<sol>{unreliable(rng, problem['solution'])}<eos>"


def fact(rng: random.Random) -> str:
    """One line such as ``21 subtract 8 = 13``."""
    state, in_words = rng.choice(STATES), rng.random() < WORD_FAMILY_SHARE
    operation, operand = draw_step(rng, state, rng.choice(list(TIERS)))
    result = OPERATIONS[operation](state, operand)
    return f"{state} {PHRASES[operation][in_words]} {operand} = {result}\n"


def unreliable(rng: random.Random, solution: str, error_rate: float = 0.45) -> str:
    """The solution with some results replaced by random numbers."""
    head, *steps = solution.split(" = ")
    for index, step in enumerate(steps):
        if rng.random() < error_rate:
            result = step[: 2 if step[1:2].isdigit() else 1]
            steps[index] = str(rng.choice(STATES)) + step[len(result) :]
    return " = ".join([head, *steps])
