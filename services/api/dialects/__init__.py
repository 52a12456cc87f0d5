"""The wire formats of others, as bodies of requests and answers; the routes are beside ours.

    cohere      POST /v2/rerank
    jina        POST /v1/rerank, /rerank         also vLLM, and Cohere's first version
    tei         POST /rerank with `texts`, /embed, /tokenize; GET /info
    score       POST /v1/score, /score           vLLM
    openai      POST /v1/embeddings; GET /v1/models
    dify        POST /retrieval

Their field names, defaults and orders are theirs. What is ours in all of them: a field that cannot
be honoured is refused with a sentence, never dropped; an answer is whole, or it is an error; the
model that a request names is not compared with anything, since clients send what their users typed
into a form, and the answer says which model it was; tokens are counted by the model's tokenizer
where that is known, and `usage.counted_by` says so. Errors have Twofold's one shape, in which the
SDK of OpenAI finds its `message` and `code`.
"""
