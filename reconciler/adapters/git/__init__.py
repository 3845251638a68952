"""The lockfile in git.

How git is run (`program`), what is asked of a repository (`repository`), how a lockfile gets to a remote that
moves (`push`), and what makes git merge it by our rules (`attributes`). Nothing of ours is read or written
here: what a lockfile is, and how two of them are merged, is known elsewhere.
"""
