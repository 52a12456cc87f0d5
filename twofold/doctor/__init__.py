"""`twofold doctor`: does a model server rank rightly, and if not, what is wrong with it.

A reranker that lost its prompt template answers with status 200 and an order that is near
random. The doctor asks any server questions whose answers are known (`golden.py`), reads the
likely fault from the pattern of the scores (`reranker.py`, `embedder.py`), and says it in a
sentence. Model processes run the same test on themselves when they start.
"""

from twofold.doctor.embedder import diagnose_embedder
from twofold.doctor.golden import GOLDEN, LANGUAGES, Golden, Language
from twofold.doctor.remote import doctor_embedder, doctor_reranker, run_doctor
from twofold.doctor.render import render
from twofold.doctor.reranker import diagnose_reranker
from twofold.doctor.verdict import Evidence, Fault, Verdict

__all__ = [
    "GOLDEN",
    "LANGUAGES",
    "Evidence",
    "Fault",
    "Golden",
    "Language",
    "Verdict",
    "diagnose_embedder",
    "diagnose_reranker",
    "doctor_embedder",
    "doctor_reranker",
    "render",
    "run_doctor",
]
