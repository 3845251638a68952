"""Stores: where lockfile, journal and lock live together (C1)."""
