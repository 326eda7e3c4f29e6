"""Lists: what holds for every tuple, set, bare list and list with names."""

import hypothesis
import hypothesis.strategies as st

from switchpoint.grading.comparison import same

MEMBERS = st.lists(
    st.sampled_from(["1", "2", "x", "\\sqrt{2}", "\\frac{1}{2}", "-x"]), min_size=2, max_size=4
)
QUICK = hypothesis.settings(deadline=None, derandomize=True, max_examples=150)


@QUICK
@hypothesis.given(MEMBERS, MEMBERS)
def test_tuples_are_the_same_in_order_and_sets_in_any(ours, theirs):
    one, other = ", ".join(ours), ",".join(theirs)
    assert same(f"({one})", f"({other})") == (ours == theirs)
    assert same(f"\\{{{one}\\}}", f"\\left\\{{{other}\\right\\}}") == (set(ours) == set(theirs))
    assert same(one, " \\text{ and } ".join(theirs)) == (set(ours) == set(theirs))
    assert same(f"[{one}]", f"[{other}]") == (ours == theirs)
    assert not same(f"({one})", f"[{other}]")
    assert not same(f"\\{{{one}\\}}", f"({other})")


@QUICK
@hypothesis.given(MEMBERS, st.randoms(use_true_random=False), st.booleans())
def test_names_tell_which_member_is_which(ours, rng, swapped):
    names = "abcd"[: len(ours)]
    theirs = list(zip(names, ours, strict=True))
    rng.shuffle(theirs)
    if swapped:
        values = [value for _, value in theirs]
        theirs = [(name, value) for (name, _), value in zip(theirs, values[1:] + values[:1], strict=True)]
    gold = ", ".join(f"{name} = {value}" for name, value in zip(names, ours, strict=True))
    answer = " \\text{ and } ".join(f"{name}={value}" for name, value in theirs)
    assert same(gold, answer) == (dict(theirs) == dict(zip(names, ours, strict=True)))
