"""What an API process serves, by what the settings name."""

from contextlib import AbstractAsyncContextManager

from pipelines.build.distributed import distributed
from pipelines.build.embedded import embedded
from pipelines.build.parts import Twofold
from pipelines.settings import Settings


def serving(settings: Settings) -> AbstractAsyncContextManager[Twofold]:
    """One process that holds everything, or the API beside servers and workers.

    Raises:
        ConfigurationError: Only one of the two servers is named.
    """
    return distributed(settings) if settings.distributed else embedded(settings)
