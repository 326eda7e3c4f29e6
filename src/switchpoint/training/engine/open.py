"""Which engine a job trains with."""

from switchpoint.study.config import EngineSettings
from switchpoint.training.engine.torch import Engine


def open_engine(settings: EngineSettings, *args, **kwargs) -> Engine:
    """The engine of the settings; the arguments are ``Engine``'s.  DeepSpeed takes seconds to import."""
    if settings.by == "torch":
        return Engine(*args, dtype=settings.dtype, **kwargs)
    from switchpoint.training.engine.deepspeed import DeepSpeedEngine

    return DeepSpeedEngine(*args, stage=settings.zero_stage, dtype=settings.dtype, **kwargs)
