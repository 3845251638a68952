"""What surrounds the loop of `run`: what wakes it, the HTTP that it answers, webhooks, and what it counts.

Nothing here plans or applies, or reads a project.
"""
