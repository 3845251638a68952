"""Effects, in order: observe, look up, apply, resolve, wait. What is decided, is decided by the core.

Everything outside is reached through the ports of the model, time included.
"""
