"""Our own providers keep the contract that an installed package's have to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provider_stands import CloudStand, LocalStand, LookThrough, TalonicStand

from reconciler.testing import ProviderContract, WatcherContract

if TYPE_CHECKING:
    from pathlib import Path

    from reconciler.testing import ProviderStand, WatcherStand


class TestLlamaCloud(ProviderContract):
    def stand(self, folder: Path) -> ProviderStand:
        return CloudStand(folder)


class TestLocal(ProviderContract):
    def stand(self, folder: Path) -> ProviderStand:
        return LocalStand(folder)


class TestLlamaCloudWatched(WatcherContract):
    def stand(self, folder: Path) -> WatcherStand:
        return LookThrough(folder)


class TestTalonic(WatcherContract):
    def stand(self, folder: Path) -> WatcherStand:
        return TalonicStand(folder)
