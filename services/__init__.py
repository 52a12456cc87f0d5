"""The processes; nobody imports them.

In each of them several models and the engine compute side by side, so that a thread with nothing
to do must leave its core to the others: OpenMP's and OpenBLAS's would wait by spinning, and half of
what a busy process computes would be that. The products that NumPy is asked for are too small for
several threads anyway. Both libraries look here when they are loaded, which is later.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
