"""The rerank queue between processes: Redis Streams with callers and workers.

API process   reranker.py, queued_embedder.py   over link.py (connections), fleet.py (workers)
worker        worker.py                         over consumer.py (entries), served.py (models)
both          wire.py                           what they say to each other
"""
