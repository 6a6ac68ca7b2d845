"""Numbers that say whether a model is any good: what to compare it with, where it fails, what a run costs.

    ngrams, compression ─> baselines     what simple means make of the same text
    scores ─> reading                    each token under a model, then what that says
    size, footprint                      what a model is made of, what a step takes of memory
    preflight                            what a few milliseconds tell before hours of training

Plain functions of arrays that return data; nothing here prints or writes.
"""
