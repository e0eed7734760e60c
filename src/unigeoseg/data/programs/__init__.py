"""A patch as a graph of regions, programs that select some of them, and English for programs.

`docs/programs.md` defines what a program selects.
"""
