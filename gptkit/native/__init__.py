"""C++ of gptkit's own, compiled on the machine that runs it, once (build.py); numbers.h is for all of it.

    gptkit/model/native         parts of a model, forward and backward, for training on a CPU
    gptkit/generation/native    a step of writing through the whole model

Where there is no compiler (or it fails), torch's operations do the same, slower. Which of the two it is
depends on the machine alone. GPTKIT_NATIVE=0 in the environment switches it off.
"""
