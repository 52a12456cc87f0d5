"""Models in a process of their own, beside the one that answers.

    models = models_apart(settings)     a child that has loaded them, and what stands for them here

Python runs one thread of a process at a time, and a model is hundreds of small operations: in one
process with it every search waits for the models of all others and the models wait for the loop,
operation by operation. Apart, the two share nothing but the processor. `make bench-overload` shows
what that is worth.

    parent.py   starts the child, again when it has died, and hands calls to it
    child.py    loads the models and answers
    wire.py     what they say to each other
"""

from pipelines.models.apart.parent import models_apart

__all__ = ["models_apart"]
