"""Webhooks: what a create asks to be told of, and the telling of it.

    create, moves ──in their own transaction──► outbox (tables) ──► sender (a thread) ──► the client's URL

Only a stand-in that is served has an outbox and a sender; embedded, nothing is kept and nobody is told.
"""
