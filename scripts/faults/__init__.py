"""Faults put into the installed program, and what must hold after each: the rows of scripts/fault_injection.py.

    program, warm, zygote, processes   start `gptkit` as child processes, cold or forked from a warm one
    instrument, moments, small_disk    what is done to them, and when
    project, undisturbed, laws         the tiny run; what its folder must look like afterwards
    trial, bench, report               one fault in a folder of its own; a row of them; the table
    all the others                     a family of rows each

Nothing here imports gptkit: it is looked at from outside, as a user's disk and shell see it.
"""
