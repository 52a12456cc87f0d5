"""The ingestion worker: documents that were announced over Redis, brought to the store."""
