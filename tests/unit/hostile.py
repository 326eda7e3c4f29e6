"""Responses that are meant to break a grader: every kind by a rule, no two alike."""

from collections.abc import Iterator

BOX = "\\boxed{%s}"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def nested(opening: str, closing: str, depth: int, inside: str = "1") -> str:
    return opening * depth + inside + closing * depth


# Kind: the answer, or the whole response where it holds a box itself or none is wanted.
ANSWERS = {
    "tower of powers": lambda n: f"9^{{9^{{9^{{{n + 2}}}}}}}",
    "bare tower": lambda n: f"9^9^9^{n + 2}",
    "tower in a denominator": lambda n: f"\\frac{{1}}{{2^{{2^{{2^{{{n + 20}}}}}}}}}",
    "huge exponent": lambda n: f"7^{{123456{n:03}}}",
    "huge negative exponent": lambda n: f"7^{{-99999{n:03}}}",
    "power of a power": lambda n: f"(10^{{{n + 50}}})^{{10^{{12}}}}",
    "exponent by a product": lambda n: f"3^{{{n + 999} \\cdot 99999 \\cdot 99999}}",
    "huge factorial": lambda n: f"{99999000 + n}!",
    "factorial of a power": lambda n: f"(10^{{{n + 8}}})!",
    "factorial of a factorial": lambda n: f"({n + 12}!)!",
    "stacked factorials": lambda n: f"{n + 5}!!!!!!",
    "binomial": lambda n: f"\\binom{{{10**9 + n}}}{{{5 * 10**8}}}",
    "long sum": lambda n: f"\\sum_{{k=1}}^{{{10**9 + n}}} \\sin(k)",
    "sum of powers": lambda n: f"\\sum_{{k=1}}^{{{10**8 + n}}} k^k",
    "double sum": lambda n: f"\\sum_{{i=1}}^{{9999}} \\sum_{{j=1}}^{{{9999 + n}}} \\frac{{i}}{{j}}",
    "endless sum": lambda n: f"\\sum_{{k=1}}^{{\\infty}} \\frac{{\\sin(k^{n + 2})}}{{k}}",
    "product": lambda n: f"\\prod_{{k=1}}^{{{10**7 + n}}} (1 + \\frac{{1}}{{k^2}})",
    "integral": lambda n: f"\\int_0^{{{n + 1}}} e^{{-x^{{{n + 7}}}}} \\sin(x^x) dx",
    "limit": lambda n: f"\\lim_{{x \\to 0}} (\\sin(x) / x)^{{1/x^{{{n + 2}}}}}",
    "derivative": lambda n: f"\\frac{{d^{{{n + 40}}}}}{{dx^{{{n + 40}}}}} e^{{\\sin(e^x)}}",
    "power of a sum": lambda n: "(" + "+".join(LETTERS) + f")^{{{300 + n}}}",
    "product of sums": lambda n: "".join(f"(x + {k + n})" for k in range(40)),
    "logarithms": lambda n: nested("\\log(", ")", 20, str(n + 3)),
    "sines": lambda n: nested("\\sin(", ")", 24, str(n)),
    "roots": lambda n: nested("\\sqrt{", "}", 400, str(n + 2)),
    "fractions": lambda n: nested("\\frac{1}{1+", "}", 200, str(n + 1)),
    "brackets": lambda n: nested("(", ")", 3000, str(n)),
    "braces": lambda n: nested("{", "}", 5000, str(n)),
    "absolute values": lambda n: nested("|", "|", 500, str(n)),
    "digits": lambda n: "7" * (100_000 + n),
    "decimals": lambda n: "0." + "3" * (50_000 + n),
    "numbers in a row": lambda n: "1 2 3 4 " * 12_500 + str(n),
    "long sum of terms": lambda n: "+".join(str(k) for k in range(5000 + n)),
    "long set": lambda n: "\\{" + ",".join(str(k) for k in range(20_000 + n)) + "\\}",
    "short sum of roots": lambda n: "+".join(f"\\sqrt{{{k}}}" for k in range(2, 28 + n % 3)) + f"+{n}",
    "union of intervals": lambda n: "\\cup".join(f"[{k},{k + 1})" for k in range(n, n + 40)),
    "chain of equations": lambda n: "=".join(f"x_{{{k}}}" for k in range(60)) + f"={n}",
    "chain of inequalities": lambda n: "<".join("abcdefghijklmnopq") + f"<{n}",
    "big matrix": lambda n: "\\begin{pmatrix}" + ("1&" * 20 + f"{n}\\\\") * 12 + "\\end{pmatrix}",
    "huge float": lambda n: f"1e{999999000 + n}",
    "huge modulus": lambda n: f"2^{{10^{{{n + 9}}}}} \\bmod 7",
    "code": lambda n: f"__import__('os').system('kill -9 {10**7 + n}')",
    "evaluated code": lambda n: f"exec(\"while True: pass\") + {n}",
    "nested lambda": lambda n: f"(lambda f: f(f))(lambda f: f(f)) + {n}",
    "NUL bytes": lambda n: "\x00" * 100 + str(n) + "\x00",
    "control characters": lambda n: "".join(map(chr, range(1, 32))) + str(n),
    "unpaired surrogate": lambda n: f"\ud800{n}",
    "unknown macros": lambda n: "".join(f"\\{letter * 3}{{{n}}}" for letter in LETTERS),
    "backslashes": lambda n: "\\" * (10_000 + 2 * n),
    "right to left": lambda n: f"\u202e{n}\u202c\u200b",
    "full-width digits": lambda n: "".join(chr(0xFF10 + int(digit)) for digit in str(n)),
}  # fmt: skip
RESPONSES = {
    "empty": lambda n: " " * n,
    "open boxes": lambda n: "\\boxed{" * (10_000 + n),
    "many boxes": lambda n: "".join(f"\\boxed{{{k}}} so " for k in range(5000)) + f"\\boxed{{{'9' * 1000}{n}}}",
    "nested boxes": lambda n: nested("\\boxed{", "}", 2000, f"x + {n}"),
    "closing braces": lambda n: "}" * (50_000 + n),
    "answer blocks": lambda n: "<answer>" * (20_000 + n),
    "dollars": lambda n: "$" * (20_001 + n),
    "text without an answer": lambda n: f"so then, {LETTERS} " * (3000 + n),
    "numbers in a text": lambda n: "we get 3 and then 4.5, " * 4000 + f"and {n}.5.6.7",
    "is is is": lambda n: "the answer is " * (5000 + n),
    "spaces": lambda n: "1" + " " * (100_000 + n) + "2",
    "formula without a box": lambda n: f"$$9^{{9^{{9^{{{n + 2}}}}}}}$$",
    "line breaks": lambda n: "\n" * (50_000 + n),
}  # fmt: skip


def kinds() -> dict[str, object]:
    """Every kind as a rule for the whole response."""
    boxed = {name: lambda n, rule=rule: BOX % rule(n) for name, rule in ANSWERS.items()}
    return boxed | RESPONSES


def responses(count: int) -> Iterator[tuple[str, str]]:
    """(kind, response), the kinds in turn."""
    rules = list(kinds().items())
    for index in range(count):
        name, rule = rules[index % len(rules)]
        yield name, rule(index // len(rules))
