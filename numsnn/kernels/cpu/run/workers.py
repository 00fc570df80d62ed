"""Threads that help a caller with its chunks. Between the jobs each waits for a lock of its own, which wakes it.

A caller offers a job to the workers that have nothing to do, and works on it itself. Whoever is free takes the next
chunk. When no chunk is left, the caller takes its offer back from workers that have not begun, and waits for the others
to finish theirs. A caller therefore never waits for a worker that is busy with the job of another caller, or that does
not get a core.
"""

import itertools
import threading
from time import perf_counter


class Job:
    """Chunks of tiles that several threads work on.

    Args:
        body: function of a range lo, hi of tiles.
        tiles: number of tiles.
        size: number of tiles per chunk; the last chunk may be smaller.

    Attributes:
        error: the first exception that a chunk raised, or None. After it, no chunk is begun.
    """

    def __init__(self, body, tiles, size):
        self.body, self.tiles, self.size = body, tiles, size
        self.error: BaseException | None = None
        self.closed, self.inside, self.over, self.seconds = False, 0, None, 0.0  # these belong to `Workers`
        self._ticket = itertools.count()  # next() on it is atomic

    def work(self) -> float:
        """Compute chunks until none is left; return the seconds that these took together."""
        body, tiles, size, seconds = self.body, self.tiles, self.size, 0.0
        while self.error is None and (first := next(self._ticket) * size) < tiles:
            last, start = min(tiles, first + size), perf_counter()
            try:
                body(first, last)
            except BaseException as error:
                self.error = self.error or error
            seconds += perf_counter() - start
        return seconds


class _Worker(threading.Thread):
    """A thread of `Workers`, to which its attributes belong.

    Attributes:
        job: the job that it has been offered and has not begun, or None.
        called: whether it has been woken and has not yet looked for a job.
        ended: whether it ends as soon as it looks for a job.
        call: the lock that it waits for.
    """

    def __init__(self, workers, number):
        super().__init__(name=f"numsnn_{number}", daemon=True)
        self.job: Job | None = None
        self.called = self.ended = False
        self.call = threading.Lock()
        self.call.acquire()
        self._workers = workers

    def run(self):
        workers = self._workers
        while not self.ended:
            self.call.acquire()
            job = workers.begin(self)
            if job is not None:
                workers.leave(self, job, job.work())
            del job  # what it holds is free while the worker waits


class Workers:
    """Waiting threads, which any number of callers may share. A thread is started when it is needed for the first time.

    Args:
        count: largest number of threads.
    """

    def __init__(self, count):
        self._lock = threading.Lock()
        self._count, self._started, self._ended = count, 0, False
        self._free: list[_Worker] = []

    def run(self, job: Job, helpers: int) -> float:
        """Compute all chunks of a job with the help of up to `helpers` workers, those that are free.

        Returns:
            The seconds that all chunks took together.

        Raises:
            BaseException: the first exception that a chunk raised, after all threads have left the job.
        """
        offered = self._offer(job, helpers)
        try:
            seconds = job.work()
        finally:
            if self._close(job, offered):
                job.over.acquire()  # also after an exception: no thread writes any more when the caller continues
        if job.error is not None:
            try:
                raise job.error
            finally:
                job.error = None  # whose traceback leads to the job
        return seconds + job.seconds

    def end(self):
        """End all threads: those that wait now, the others after their job."""
        with self._lock:
            self._ended, waiting, self._free = True, self._free, []
            for worker in waiting:
                self._end(worker)

    # --- the state of the workers, which changes under the lock only ---

    def _offer(self, job, helpers):
        with self._lock:
            while len(self._free) < helpers and self._started < self._count and not self._ended:
                worker = _Worker(self, self._started)
                worker.start()
                self._free.append(worker)
                self._started += 1
            offered = self._free[-helpers:]
            del self._free[-helpers:]
            for worker in offered:
                worker.job = job
                if not worker.called:  # otherwise it is on its way already
                    worker.called = True
                    worker.call.release()
        return offered

    def begin(self, worker):
        """Return the job that a woken worker has been offered, or None if the offer was taken back."""
        with self._lock:
            worker.called, job = False, worker.job
            if job is not None:
                worker.job = None
                job.inside += 1
        return job

    def leave(self, worker, job, seconds):
        """Take note that a worker has no more to do for a job, on which it has worked for some seconds."""
        with self._lock:
            job.seconds += seconds
            job.inside -= 1
            if job.closed and not job.inside:
                job.over.release()
            if self._ended:
                self._end(worker)
            else:
                self._free.append(worker)

    def _close(self, job, offered):
        """Take the job back from workers that have not begun; return whether the caller must wait for the others."""
        with self._lock:
            job.closed = True
            for worker in offered:
                if worker.job is job:
                    worker.job = None
                    if self._ended:
                        self._end(worker)
                    else:
                        self._free.append(worker)
            if not job.inside:
                return False
            job.over = threading.Lock()
            job.over.acquire()
            return True

    def _end(self, worker):
        worker.ended = True
        if not worker.called:
            worker.called = True
            worker.call.release()
