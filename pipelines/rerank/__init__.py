"""The request seam: a queue with deadlines before the reranker."""
