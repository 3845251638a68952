"""Decisions, pure: validate, expand, match, plan, preflight, diff.

No clock, no randomness, no environment, no file and no network: time, variables and schemas come in as
arguments, and equal arguments give equal values.
"""
