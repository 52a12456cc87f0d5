"""The worker before the device: reranks, and embeds queries, for any number of API processes."""
