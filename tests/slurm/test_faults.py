"""Jobs that are cancelled or whose time is over: the study ends as if nothing had been."""

from bed import ask
from cluster import GRPO, is_as, jobs, start, take_away, wait

from switchpoint import files


def test_a_cancelled_job_saves_and_one_hits_its_time_limit_twice(clone, local):
    """SIGTERM goes from SLURM by srun and the nested Snakemake to Python, which saves: no state is due before.

    Of a minute nothing is left but a step an attempt; the run of SFT has three.
    """
    for name in ("sft/Full", "rl/dapo_dc/Full-3", "rl/grpo"):
        take_away(clone, name, f"evaluations/{name}")
    state = clone / "results/tiny/state/rl/grpo/base/seed_0"
    process = start(clone, "--set-resources", "sft_Full:runtime=1")
    wait(lambda: list(state.glob("*/points.csv")))
    [number] = [number for number, title in jobs(clone, "RUNNING").items() if title == "rl grpo_base_0"]
    assert not list(state.glob("*/state_*.json"))
    ask("scancel", number)
    wait(lambda: list(state.glob("*/state_*.json")), 30)
    assert process.wait(600) == 0, (clone / "snakemake.log").read_text()[-3000:]
    assert files.read_run(clone / GRPO)["attempt"] == 2
    submitted = list(jobs(clone).values())
    assert (submitted.count("rl grpo_base_0"), submitted.count("sft_Full 0")) == (2, 3)
    assert files.read_run(clone / "results/tiny/sft/Full/seed_0")["attempt"] == 3
    assert is_as(clone, local)
