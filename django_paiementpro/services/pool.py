"""Look-ups by a bounded number of threads, at a bounded rate, as long as the gateway answers."""

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event, Lock

from django_paiementpro.exceptions import GatewayUnavailableError
from django_paiementpro.models import Payment
from django_paiementpro.services.evidence import Answer, ask, every_attempt

#: After so many payments in a row about which nobody was there to answer, the gateway is away.
AWAY_AFTER = 5

#: Or after so many about which nothing that came was an answer: some of these may be the payments' own fault.
USELESS_AFTER = 25

#: How many of the newest attempts of a payment a run asks about, and how many of the older ones.
ATTEMPTS_AT_ONCE = 5

#: How often, in seconds, it is looked whether to stop.
ATTENTION = 0.5

MINUTE = 60.0


@dataclass(slots=True)
class LookUp:
    """What was asked about a payment: no answers at all where it was not asked after all."""

    payment: Payment
    answers: list[Answer] = field(default_factory=list)
    duration: float = 0.0
    bug: Exception | None = None
    #: How many attempts there were to ask about.
    attempts: int = 0

    @property
    def errors(self) -> list[GatewayUnavailableError]:
        return [answer.error for answer in self.answers if answer.error]

    @property
    def is_heard(self) -> bool:
        """Whether somebody was there to answer about every attempt, however useful the answer."""
        return len(self.answers) == self.attempts and not any(error.is_away for error in self.errors)

    @property
    def is_useless(self) -> bool:
        """Whether there was no answer of any use."""
        return bool(self.answers) and len(self.errors) == len(self.answers)

    @property
    def is_away(self) -> bool:
        """Whether nobody was there to answer about any."""
        return self.is_useless and all(error.is_away for error in self.errors)


def attempts_to_ask_about(payment: Payment) -> list[int]:
    """
    Return the attempts that one run asks about: the newest few, and a few of the older ones.

    A customer may have made hundreds of attempts, which must not keep other payments waiting. The older ones take turns
    from run to run, beginning again once all have had theirs.
    """
    every = every_attempt(payment)
    newest, older = every[:ATTEMPTS_AT_ONCE], every[ATTEMPTS_AT_ONCE:]
    left = [attempt for attempt in older if attempt < (payment.asked_attempt or payment.attempt)] or older
    return [*newest, *left[:ATTEMPTS_AT_ONCE]]


class Pace:
    """Lets at most so many look-ups begin in any minute; any number where the rate is 0."""

    def __init__(self, rate: int, stop: Event) -> None:
        self._begun: deque[float] = deque(maxlen=rate)
        self._stop = stop
        self._lock = Lock()

    def may_ask(self) -> bool:
        """Wait for a turn. Return False where there is to be none."""
        while not self._stop.is_set():
            pause = self._take_turn()
            if not pause:
                return True
            self._stop.wait(pause)
        return False

    def _take_turn(self) -> float:
        """Return for how many seconds to wait, 0 once the turn is taken."""
        with self._lock:
            now = time.monotonic()
            if self._begun.maxlen and len(self._begun) == self._begun.maxlen and self._begun[0] + MINUTE > now:
                return self._begun[0] + MINUTE - now
            self._begun.append(now)
            return 0.0


class Pool:
    """
    Threads that ask, while the one that has the database hands out payments and takes the answers.

    At most as many payments are under way as there are threads. ``stop`` ends it: what has begun is waited for.
    """

    def __init__(self, workers: int, rate: int, stop: Event) -> None:
        self.workers = workers
        self.is_away = False
        self._stop = stop
        self._closed = Event()
        self._pace = Pace(rate, self._closed)
        self._silent = self._useless = 0

    def look_up(self, payments: Iterator[Payment]) -> Iterator[LookUp]:
        """Ask about the payments, and yield what comes back, as it comes."""
        waiting: set[Future[LookUp]] = set()
        with ThreadPoolExecutor(self.workers, thread_name_prefix="paiementpro") as threads:
            try:
                while not self._must_end and (payment := next(payments, None)):
                    waiting.add(threads.submit(self._ask, payment))
                    if len(waiting) == self.workers:
                        yield from self._come_back(waiting)
                while waiting:
                    yield from self._come_back(waiting)
            finally:
                self._closed.set()

    @property
    def _must_end(self) -> bool:
        return self._stop.is_set() or self.is_away

    def _ask(self, payment: Payment) -> LookUp:
        started_at = time.monotonic()
        attempts = attempts_to_ask_about(payment)
        look_up = LookUp(payment, attempts=len(attempts))
        try:
            look_up.answers.extend(ask(payment, may_ask=self._pace.may_ask, attempts=attempts))
        except Exception as error:  # noqa: BLE001  the thread that has the database reports it
            look_up.bug = error
        look_up.duration = time.monotonic() - started_at
        return look_up

    def _come_back(self, waiting: set[Future[LookUp]]) -> Iterator[LookUp]:
        """Wait for one or more; the stop may come meanwhile."""
        done: set[Future[LookUp]] = set()
        while not done:
            if self._must_end:
                self._closed.set()  # who waits for a turn goes without
            done, _pending = wait(waiting, ATTENTION, FIRST_COMPLETED)
        waiting -= done
        for future in done:
            look_up = future.result()
            self._count_silence(look_up)
            yield look_up

    def _count_silence(self, look_up: LookUp) -> None:
        if not look_up.answers:
            return
        self._silent = self._silent + 1 if look_up.is_away else 0
        self._useless = self._useless + 1 if look_up.is_useless else 0
        if self._silent >= AWAY_AFTER or self._useless >= USELESS_AFTER:
            self.is_away = True
