"""The generated task of studies with a pretrained model: short arithmetic word problems in English.

A story tells what somebody has: it begins with a number, or with boxes of as many each, and one to three operations
change it.  The expert trajectory works them out one by one:

    Maya has 12 shells. She gives 3 shells to Leo. Then she puts them into 3 equal bags and keeps one of the bags.
    How many shells does Maya have now?
    Maya has 12 - 3 = 9 shells. Then she has 9 / 3 = 3 shells. So the answer is \\boxed{3}.

All numbers are whole and within 2..99.  Words are drawn at random in problems and solutions, so that the validation
loss has a floor that no amount of training removes.  Everything is a function of (seed, index): a larger source extends a
smaller one.
"""

import itertools
import random
from collections.abc import Iterator

NUMBERS = range(2, 100)
PEOPLE = {
    "Maya": "she", "Ada": "she", "Rosa": "she", "Nina": "she", "Ivy": "she", "Zoe": "she",
    "Leo": "he", "Omar": "he", "Felix": "he", "Hugo": "he", "Sam": "he", "Jonas": "he",
}  # fmt: skip
ITEMS = (
    "shells", "marbles", "stickers", "pencils", "apples", "coins", "cookies", "books", "cards", "stamps", "buttons", "nuts",
)  # fmt: skip
OPENINGS = (
    "{name} has {number} {items}.",
    "There are {number} {items} on {name}'s table.",
    "{name} starts the week with {number} {items}.",
)
BOXES = (
    "{name} has {groups} boxes with {each} {items} in each.",
    "{name} fills {groups} boxes, each with {each} {items}.",
)
CHANGES = {
    "+": (
        "{They} buys {number} more {items}.",
        "{friend} brings {name} {number} {items}.",
        "Then {they} finds {number} {items} at home.",
    ),
    "-": (
        "{They} gives {number} {items} to {friend}.",
        "Then {they} loses {number} of them.",
        "{They} sells {number} {items}.",
    ),
    "*": (
        "A month later {they} has {number} times as many {items}.",
        "With help from {friend} {they} soon has {number} times as many {items}.",
    ),
    "/": (
        "Then {they} puts them into {number} equal bags and keeps one of the bags.",
        "{They} shares the {items} equally among {number} people, {name} being one of them.",
    ),
}
QUESTIONS = (
    "How many {items} does {name} have now?",
    "How many {items} does {name} have in the end?",
    "What is the number of {items} that {name} has now?",
)
FIRST = ("{name} has {equation} {items}.", "First there are {equation} {items}.", "{equation}.")
LATER = ("Then {they} has {equation} {items}.", "That makes {equation} {items}.", "{equation}.")
CLOSINGS = (
    "So the answer is \\boxed{{{answer}}}.",
    "So {name} has \\boxed{{{answer}}} {items}.",
    "The answer is \\boxed{{{answer}}}.",
)


def results_of(sign: str, state: int) -> dict[int, int]:
    """Operand to result of every step that an operation can take from a number."""
    operands = {"+": range(2, 50), "-": NUMBERS, "*": range(2, 6), "/": range(2, 10)}[sign]
    compute = {
        "+": lambda operand: state + operand,
        "-": lambda operand: state - operand,
        "*": lambda operand: state * operand,
        "/": lambda operand: state // operand if state % operand == 0 else None,
    }[sign]
    found = {operand: compute(operand) for operand in operands}
    return {operand: result for operand, result in found.items() if result in NUMBERS}


# Number to operation to operand to result.
STEPS = {state: {sign: steps for sign in CHANGES if (steps := results_of(sign, state))} for state in NUMBERS}


def make_problem(key: str, operations: tuple[int, int]) -> dict:
    """Problem, expert trajectory and answer of one key (a string such as ``"0-pool-17"``).

    ``operations`` is the inclusive range of their number.
    """
    rng = random.Random(key)
    name, friend = rng.sample(list(PEOPLE), 2)
    they = PEOPLE[name]
    words = {"name": name, "friend": friend, "items": rng.choice(ITEMS), "they": they, "They": they.title()}
    count = rng.randint(*operations)
    if rng.random() < 0.25:
        groups, each = rng.choice([(a, b) for a in range(2, 10) for b in range(2, 12) if a * b in NUMBERS])
        state, equations = groups * each, [f"{groups} * {each} = {groups * each}"]
        story = [rng.choice(BOXES).format(**words, groups=groups, each=each)]
    else:
        state, equations = rng.choice(NUMBERS), []
        story = [rng.choice(OPENINGS).format(**words, number=state)]
    while len(equations) < count:
        sign = rng.choice(list(STEPS[state]))
        operand, result = rng.choice(list(STEPS[state][sign].items()))
        story.append(rng.choice(CHANGES[sign]).format(**words, number=operand))
        equations.append(f"{state} {sign} {operand} = {result}")
        state = result
    worked = [
        rng.choice(LATER if row else FIRST).format(**words, equation=equation)
        for row, equation in enumerate(equations)
    ]
    return {
        "problem": " ".join([*story, rng.choice(QUESTIONS).format(**words)]),
        "solution": " ".join([*worked, rng.choice(CLOSINGS).format(**words, answer=state)]),
        "answer": str(state),
        "operations": count,
    }


def make_problems(seed: int, name: str, size: int, operations: tuple[int, int]) -> Iterator[dict]:
    """``size`` records of the data contract with distinct problems, named ``<name>-<index>``."""
    seen: set[str] = set()
    for index in itertools.count():
        row = make_problem(f"{seed}-{name}-{index}", operations)
        if row["problem"] in seen:
            continue
        seen.add(row["problem"])
        yield {"id": f"{name}-{len(seen) - 1}", **row, "source": name}
        if len(seen) == size:
            return
