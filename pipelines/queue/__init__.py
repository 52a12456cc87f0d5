"""Announcing documents to ingestion workers in other processes, by Celery over Redis."""
