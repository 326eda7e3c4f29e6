"""What Snakemake's SLURM executor does while SLURM does not answer."""

import functools
import sys


def outlast() -> None:
    """Makes the executor ask again, however long SLURM does not answer.

    Left to itself it forgets its jobs once it got no answer (five times in a row, or, where `sacct` knows nothing, once),
    and Snakemake waits for them for ever.  An answer that tells of no job is what it takes for "ask again".
    """
    plugin = sys.modules.get("snakemake_executor_plugin_slurm")  # Snakemake imports what is installed
    if plugin is not None and not hasattr(plugin.query_job_status, "__wrapped__"):
        plugin.query_job_status = asked_again(plugin.query_job_status)


def asked_again(query):
    """The executor's question for its jobs' states, by number, and the seconds that it took; none where it got no answer."""

    @functools.wraps(query)
    async def query_job_status(command: str, logger) -> tuple[dict[str, str], float]:
        states, seconds = await query(command, logger)
        if states is not None:
            return states, seconds
        logger.warning("SLURM does not answer; Snakemake asks again.")
        return {}, 0.0

    return query_job_status
