"""What an API process serves, by what the settings name."""

from contextlib import AbstractAsyncContextManager

from pipelines.build.distributed import distributed
from pipelines.build.embedded import embedded
from pipelines.build.parts import Twofold
from pipelines.models.apart import models_apart
from pipelines.settings import Settings


def serving(settings: Settings) -> AbstractAsyncContextManager[Twofold]:
    """Everything on this machine, or the API beside servers and workers.

    Raises:
        ConfigurationError: Only one of the two servers is named.
    """
    if settings.distributed:
        return distributed(settings)
    return embedded(settings, choose=models_apart)
