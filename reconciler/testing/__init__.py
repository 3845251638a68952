"""What holds a provider to the port: a contract suite for pytest, which a package's author subclasses.

::

    from reconciler.testing import ProviderContract

    class TestAcme(ProviderContract):
        def stand(self, folder):
            return AcmeStand(folder)

`stand` says what the suite can do with a service: bring work into it, count what reached it, and make it
misbehave. Ours pass the same suite. This is the one room that needs pytest, and only to skip.
"""

from reconciler.testing.means import borrowed, connected, watching
from reconciler.testing.providers import ProviderContract
from reconciler.testing.stands import ProviderStand, Trouble, WatcherStand
from reconciler.testing.watchers import WatcherContract

__all__ = [
    "ProviderContract",
    "ProviderStand",
    "Trouble",
    "WatcherContract",
    "WatcherStand",
    "borrowed",
    "connected",
    "watching",
]
