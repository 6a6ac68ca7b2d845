"""The decode step compiled on this machine: one call for all layers, where torch makes a hundred.

    build    the C++ beside it -> a library in the user's cache folder, once a machine
    model    pointers to a model's weights -> one step of all rows (step.cpp, products.h)
    draw     from the logits to a token each (draw.h)

Taken by every model that gptkit/generation/rows.py knows, on a CPU in float32, bfloat16 and int8. Where
there is no compiler (or it fails), torch's operations do the same: the logits differ by rounding alone.
Which of the two it is depends on the machine, never on the prompt or the number of rows, so that a
sample is the same whatever it is written with. GPTKIT_NATIVE=0 in the environment switches it off.
"""
