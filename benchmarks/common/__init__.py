"""What the benchmarks share.

shapes.py     sizes of models and batches, and what a step of them costs on paper
programs.py   a training step as gptkit, nanoGPT and transformers do it
nanogpt.py    the models of a checkout of nanoGPT
turns.py      each measurement in a process of its own, all programs taking turns
runs.py       whole runs of gptkit and nanoGPT, and the loss of what they saved
options.py    what the scripts can be told
page.py       the Markdown page: machine, versions, command, tables
"""
