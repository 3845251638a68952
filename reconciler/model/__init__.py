"""The nouns: frozen values that everything else speaks in, and the ports behind which effects live.

Nothing of ours is imported here, no file is read and nothing is decided. A rule number (R7, C5, O3)
beside a field says which rule of ``docs/rules.md`` it exists for.

What a plan has a hundred thousand of (`Batch`, `Entry`, `Recorded`, `Action`, …) are named tuples, the rest
are frozen dataclasses: one of these takes five times as long to make.
"""
