"""The outside: what stands in files, behind services and in other people's formats, as our own nouns.

Each part knows one thing outside and none of its neighbours; ``api.py`` puts them together. Nothing is
decided here: an adapter says what is there, or why that cannot be told.
"""
