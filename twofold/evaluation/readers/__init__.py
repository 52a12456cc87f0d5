"""Judgements from files: a BEIR folder, TREC files, or a CSV."""

from twofold.evaluation.readers.source import read

__all__ = ["read"]
