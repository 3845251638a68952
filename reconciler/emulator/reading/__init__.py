"""From a document to its text or its record, in a process that may crash without harm.

`reader_process` (the handle) → `reader` (the program) → `parsing` (text) → `extraction` (record).
"""
