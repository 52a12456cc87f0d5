"""`twofold eval` and `twofold tune`: does the second stage help, on one's own questions.

    judgements = read(source)                  readers/: BEIR, TREC, CSV; or synthetic.py
    answers = observe(client, judgements, ...)  observe.py: one pass over the questions
    runs = replay(answers, ...)                replay.py: what each stage alone would have said
    report = evaluate(judgements, answers)     report.py: measures.py, significance.py, verdict.py
    show                                       terminal.py, html.py

Everything here asks a server through the client, as any application does. The libraries of the
extra `eval` (ir-measures, numpy, matplotlib) are imported when a command runs and not before.
"""
