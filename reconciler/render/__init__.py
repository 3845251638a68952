"""How values look: text for people, JSON for programs. Pure: a value comes in, text goes out.

What came from outside (names, messages) passes through `harmless` on its way to a terminal.
"""
