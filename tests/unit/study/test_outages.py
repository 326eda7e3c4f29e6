"""The executor keeps its jobs in sight while SLURM does not answer."""

import asyncio
import logging

from switchpoint.study import outages


def test_no_answer_is_an_answer_that_tells_of_no_job():
    answers = iter([({"1": "RUNNING"}, 0.5), (None, None), ({}, 0.1)])

    async def query(command, logger):
        assert command == "squeue"
        return next(answers)

    again = outages.asked_again(query)
    ask = lambda: asyncio.run(again("squeue", logging.getLogger("test")))  # noqa: E731
    assert [ask(), ask(), ask()] == [({"1": "RUNNING"}, 0.5), ({}, 0.0), ({}, 0.1)]


def test_the_executor_has_the_question_that_is_asked_again(monkeypatch):
    import snakemake_executor_plugin_slurm as plugin

    monkeypatch.setattr(plugin, "query_job_status", plugin.query_job_status)  # and back
    once = plugin.query_job_status
    outages.outlast()
    outages.outlast()
    assert plugin.query_job_status.__wrapped__ is once
