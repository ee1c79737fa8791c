"""`JournalContract`: what every journal must do, as tests."""

from __future__ import annotations

from orchestrator_core.testing._journal._accepting import AcceptingContract, CheckpointContract, HandOverContract
from orchestrator_core.testing._journal._claiming import ClaimingContract
from orchestrator_core.testing._journal._crashing import CrashContract
from orchestrator_core.testing._journal._history import HistoryContract
from orchestrator_core.testing._journal._leasing import LeasingContract
from orchestrator_core.testing._journal._ordering import OrderingContract
from orchestrator_core.testing._journal._reading import ReadingContract
from orchestrator_core.testing._journal._retaining import PruningContract
from orchestrator_core.testing._journal._settling import LateContract, SettlingContract
from orchestrator_core.testing._journal._sharing import SharingContract
from orchestrator_core.testing._journal._upkeep import (
    CancellingContract,
    ParkingContract,
    RedrivingContract,
)
from orchestrator_core.testing._journal._waking import DerivedContract, WakingContract


class JournalContract(
    AcceptingContract,
    CheckpointContract,
    HandOverContract,
    ClaimingContract,
    OrderingContract,
    SettlingContract,
    LateContract,
    WakingContract,
    DerivedContract,
    HistoryContract,
    LeasingContract,
    ParkingContract,
    RedrivingContract,
    CancellingContract,
    PruningContract,
    ReadingContract,
    SharingContract,
    CrashContract,
):
    """The tests that every journal passes, the core's own included.

    Derive a test class and say how to make a journal::

        class TestFileJournal(JournalContract):
            @pytest.fixture
            def make_journal(self, tmp_path: Path) -> Callable[[], Journal]:
                numbers = itertools.count()
                return lambda: FileJournal(tmp_path / f"{next(numbers)}.db")

            @pytest.fixture
            def reopen(self, tmp_path: Path) -> Callable[[Journal], Journal]:
                ...  # for a store that outlives its process; see `JournalFixtures.reopen`

    The tests are asynchronous and run by AnyIO's pytest plugin, once for each value of your fixture ``anyio_backend``.
    Each docstring says what is expected and which mistake the test catches.
    """
