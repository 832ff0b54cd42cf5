"""Threads that share work, and memory that is used again."""

import gc
import itertools
import math
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnbook import fast, threads

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 20  # seconds until what hangs is given up
AFFINITY = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="threads can't be held to cores here"
)
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@pytest.fixture(autouse=True)
def as_before():
    """Leave as many threads as there were, and the memory that was kept."""
    count, kept = threads.get_num_threads(), list(threads.BUFFERS.kept)
    threads.BUFFERS.kept = []
    yield
    threads.set_num_threads(count)
    threads.BUFFERS.kept = kept


def blas():
    """Return the libraries for matrix products, or skip the test."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    libraries = threadpoolctl.ThreadpoolController().select(user_api="blas")
    if not libraries.lib_controllers:
        pytest.skip("no library whose threads could be counted")
    return libraries.lib_controllers


@pytest.fixture
def products():
    """Return a function that tells the threads of products; they are 2 at first."""
    libraries = blas()
    before = [library.get_num_threads() for library in libraries]
    for library in libraries:
        library.set_num_threads(2)
    counts = [library.get_num_threads() for library in libraries]
    if set(counts) != {2}:
        pytest.skip("this library can't be told")
    yield lambda: {library.get_num_threads() for library in libraries}
    for library, count in zip(libraries, before, strict=True):
        library.set_num_threads(count)


def run(code, **environment):
    """Run code in a process of its own; return what it prints."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def in_time(function):
    """Call a function in another thread; fail if it hangs; raise what it raises."""
    outcome = []

    def call():
        try:
            outcome.append((function(), None))
        except BaseException as error:
            outcome.append((None, error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert outcome, "it hangs"
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


# How many.


@pytest.mark.parametrize("count", [1, 2, 3, np.int64(5)])
def test_the_number_of_threads_is_what_was_set(count):
    """It is asked for and set as in PyTorch."""
    assert threads.set_num_threads(count) is None
    assert threads.get_num_threads() == count
    assert type(threads.get_num_threads()) is int


@pytest.mark.parametrize("count", [0, -1, 2.0, 1.5, True, None, "2", [1, 2], np.nan])
def test_what_is_no_number_of_threads_is_named(count):
    """The message names it, and nothing is changed."""
    before = threads.get_num_threads()
    with pytest.raises((TypeError, ValueError), match=r"^count\b"):
        threads.set_num_threads(count)
    assert threads.get_num_threads() == before


@AFFINITY
def test_the_machines_threads(monkeypatch):
    """As many as this process may use; OMP_NUM_THREADS can only lower it."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    mine = len(os.sched_getaffinity(0))
    assert threads.machine_threads() == mine
    for asked, count in [("1", 1), ("99999", mine), ("0", mine), ("all", mine)]:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        assert threads.machine_threads() == count
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert threads.machine_threads() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads.machine_threads() == 1
    monkeypatch.setattr(sys, "platform", "emscripten")
    assert threads.machine_threads() == 1


def test_the_environment_sets_the_first_number():
    """A fresh process has as many threads as it was told, or as it may use."""
    code = "from cnnbook import threads; print(threads.get_num_threads())"
    assert run(code, OMP_NUM_THREADS="1") == "1\n"
    assert int(run(code, OMP_NUM_THREADS="")) == threads.machine_threads()


# Work in parallel.


@pytest.mark.parametrize("jobs", [0, 1, 2, 3, 100])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_every_job_is_done_once(count, jobs):
    """Whatever the numbers of threads and of jobs, and however often."""
    threads.set_num_threads(count)
    for seconds in (1, 0):
        done = []
        assert (
            in_time(
                lambda done=done, seconds=seconds: threads.in_parallel(
                    done.append, (k for k in range(jobs)), seconds
                )
            )
            is None
        )
        assert sorted(done) == list(range(jobs))


def test_work_is_shared():
    """Three jobs that wait for each other end only if three threads do them."""
    threads.set_num_threads(3)
    meeting, names = threading.Barrier(3), []

    def task(job):
        meeting.wait(PATIENCE)
        names.append(threading.get_ident())

    for _ in range(3):
        threads.in_parallel(task, range(3))
    assert len(names) == 9
    assert len(set(names)) == 3  # the same ones every time, and the caller
    assert threading.get_ident() in names


def test_short_work_stays_on_this_thread():
    """It wouldn't be worth it; nor would a single job, or a single thread."""
    for count, jobs, seconds in [(3, 9, threads.SHORT), (3, 1, 1), (1, 9, 1)]:
        threads.set_num_threads(count)
        names = []
        threads.in_parallel(
            lambda job, names=names: names.append(threading.get_ident()),
            range(jobs),
            seconds,
        )
        assert names == [threading.get_ident()] * jobs


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize(
    ("where", "count"),
    [("caller", 1), *itertools.product(["caller", "another", "every"], [2, 3])],
)
def test_what_a_task_raises_is_raised(count, where, error):
    """On any thread, and afterwards all threads work as before."""
    threads.set_num_threads(count)

    def work():
        caller, meeting = threading.get_ident(), threading.Barrier(count)

        def task(job):
            meeting.wait(PATIENCE)
            here = threading.get_ident() == caller
            if where == "every" or here == (where == "caller"):
                raise error("wrong")

        for _ in range(3):
            with pytest.raises(error, match="wrong"):
                threads.in_parallel(task, range(count))
            meeting.reset()
        names = set()

        def name(job):
            meeting.wait(PATIENCE)
            names.add(threading.get_ident())

        threads.in_parallel(name, range(count))
        return names

    assert len(in_time(work)) == count


@pytest.mark.parametrize("wait", [False, True])
def test_nothing_goes_on_after_an_error(wait):
    """When the caller hears of it, what has begun is done, and no more begins."""
    threads.set_num_threads(3)
    begun, done = [], []

    def task(job):
        begun.append(job)
        if job == 0:
            while wait and not done:  # until others have come
                time.sleep(0.001)
            raise ValueError("wrong")
        time.sleep(0.001)
        done.append(job)

    for _ in range(5):
        with pytest.raises(ValueError, match="wrong"):
            in_time(lambda: threads.in_parallel(task, range(10)))
        assert sorted(begun) == [0, *sorted(done)]
        count = len(begun)
        time.sleep(0.02)
        assert len(begun) == count
        begun.clear(), done.clear()


def clean():
    """Tell whether nobody has the crew, and products are free."""
    crew = threads.STATE["crew"]
    return not crew.held and not crew.sharing and not threads.PRODUCTS.inside


def test_what_ctrl_c_finds_running_is_waited_for(monkeypatch):
    """The caller hears of it when the helper's job is done, and all is as before."""
    threads.set_num_threads(2)
    begun, go_on, ended = threading.Event(), threading.Event(), []
    caller = threading.get_ident()

    def task(job):
        if threading.get_ident() == caller:
            assert begun.wait(PATIENCE)  # until the helper has a job
            return
        begun.set()
        assert go_on.wait(PATIENCE)
        time.sleep(0.05)
        ended.append(job)

    class Interrupted(threads.SimpleQueue):
        """A queue at which the caller is interrupted while it waits."""

        def get(self):
            if threading.get_ident() == caller and not go_on.is_set():
                go_on.set()
                raise KeyboardInterrupt
            return super().get()

    monkeypatch.setattr(threads, "SimpleQueue", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        threads.in_parallel(task, range(2))
    assert len(ended) == 1 and clean()


def test_an_interrupt_at_any_line_leaves_no_mess():
    """Also between two lines of the library, the crew and the cores are given back."""
    done = run(
        """
        import os, signal, sys
        from cnnbook import threads

        threads.set_num_threads(2)
        threads.in_parallel(abs, range(4))
        mine, messes, hits = os.sched_getaffinity(0), 0, 0
        functions = ("share", "work_through", "task")

        def task(job):
            sum(range(100))

        for after in range(60):
            left = [after]

            def trace(frame, event, argument):
                if frame.f_code.co_name not in functions:
                    return trace if frame.f_code.co_name == "in_parallel" else None
                if event == "line" and (left.append(left.pop() - 1) or left[0] == 0):
                    raise KeyboardInterrupt
                return trace

            sys.settrace(trace)
            try:
                threads.in_parallel(task, range(4))
            except KeyboardInterrupt:
                hits += 1
            sys.settrace(None)
            crew = threads.STATE["crew"]
            mess = crew.held or crew.sharing or threads.PRODUCTS.inside
            messes += bool(mess) or os.sched_getaffinity(0) != mine
            if mess:
                crew.held.clear()
                crew.sharing = False
            os.sched_setaffinity(0, mine)
        print(hits, messes)
        """
        if hasattr(os, "sched_getaffinity")
        else "print(20, 0)"
    )
    hits, messes = map(int, done.split())
    assert hits >= 20
    assert messes <= hits // 4  # those in the lines that put all back


def test_nobody_goes_on_if_handing_out_is_interrupted(monkeypatch):
    """A helper that has work already does what it has begun, and no more."""
    threads.set_num_threads(3)
    threads.in_parallel(abs, range(3))
    copy, begun = threading.Event(), []
    original = threads.contextvars.copy_context

    def copy_context():
        if not copy.is_set():
            copy.set()
            return original()
        while not begun:
            time.sleep(0.001)
        raise KeyboardInterrupt

    def task(job):
        begun.append(job)
        time.sleep(0.01)

    monkeypatch.setattr(threads.contextvars, "copy_context", copy_context)
    with pytest.raises(KeyboardInterrupt):
        in_time(lambda: threads.in_parallel(task, range(200)))
    count = len(begun)
    time.sleep(0.03)
    assert count == len(begun) < 200 and clean()


def test_late_helpers_hold_nothing(monkeypatch):
    """A helper that is busy elsewhere doesn't keep the arrays of calls long over."""
    threads.set_num_threads(2)
    threads.in_parallel(abs, range(2))
    hold, kept = threading.Event(), []
    threads.STATE["crew"].inbox.put(hold.wait)
    try:
        for _ in range(5):
            array = np.zeros(10**6)
            kept.append(weakref.ref(array))
            threads.in_parallel(lambda job, array=array: None, range(4))
            del array
        gc.collect()
        assert [ref() for ref in kept] == [None] * 5
    finally:
        hold.set()


def test_work_goes_on_without_threads(monkeypatch):
    """If the system has no more, the caller works alone, and asks again next time."""
    threads.set_num_threads(3)
    start, done = threading.Thread.start, []

    def fails(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fails)
        try:
            threads.in_parallel(done.append, range(5))
        except RuntimeError:
            pytest.fail("it gave up")
    assert sorted(done) == list(range(5)) and clean()
    assert not threads.STATE["crew"].threads and threading.Thread.start is start
    threads.in_parallel(done.append, range(5))
    assert len(threads.STATE["crew"].threads) == 2


def test_no_work_starts_no_threads(monkeypatch):
    """An empty list of jobs needs nobody."""
    threads.set_num_threads(2)
    threads.in_parallel(abs, [])
    assert not threads.STATE["crew"].threads


@AFFINITY
def test_who_is_at_work_keeps_its_cores():
    """Only while work is shared is the caller held to some cores."""
    mine = os.sched_getaffinity(0)
    threads.set_num_threads(2)
    with threads.at_work():
        threads.in_parallel(abs, range(4))
        assert os.sched_getaffinity(0) == mine
        threads.set_num_threads(2)
        threads.in_parallel(abs, range(4))
        assert os.sched_getaffinity(0) == mine
    assert clean()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_task_may_share_work_itself(count):
    """A call within a call does its jobs, and doesn't wait for busy threads."""
    threads.set_num_threads(count)
    done = []

    def outer(job):
        threads.in_parallel(lambda k: done.append((job, k)), range(4))

    for _ in range(3):
        in_time(lambda: threads.in_parallel(outer, range(5)))
        assert sorted(done) == list(itertools.product(range(5), range(4)))
        done.clear()

    def wrong(job):
        threads.in_parallel(lambda k: 1 / k, range(2))

    with pytest.raises(ZeroDivisionError):
        in_time(lambda: threads.in_parallel(wrong, range(3)))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_several_threads_of_the_user_may_call(count):
    """Each gets its own work done; the results are those of one."""
    threads.set_num_threads(count)
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(8, 8, 12, 12)), rng.normal(size=(9, 8, 3, 3))
    expected = fast.conv2d(x, weight, padding=1)
    wrong, finished = [], []

    def user(k):
        for _ in range(10):
            y = fast.conv2d(k * x, weight, padding=1)
            if not np.allclose(y, k * expected, rtol=1e-12, atol=1e-9):
                wrong.append(k)
        finished.append(k)

    users = [threading.Thread(target=user, args=(k,), daemon=True) for k in range(4)]
    for thread in users:
        thread.start()
    for thread in users:
        thread.join(PATIENCE)
    assert sorted(finished) == [0, 1, 2, 3]
    assert not wrong


def test_the_number_may_change_between_calls_and_within_a_task():
    """Threads that are let go finish what they do; new ones take over."""

    def work():
        done = []
        for count in (3, 1, 2, 5, 2):
            threads.set_num_threads(count)
            threads.in_parallel(done.append, range(4))
        threads.in_parallel(lambda k: threads.set_num_threads(k + 1), range(4))
        threads.set_num_threads(2)
        threads.in_parallel(done.append, range(4))
        return sorted(done)

    assert in_time(work) == sorted(list(range(4)) * 6)


def test_the_number_may_change_just_before_the_work(monkeypatch):
    """Another thread sets it when this one already knows who will help."""

    class Late:
        def __enter__(self):
            threads.set_num_threads(2)

        def __exit__(self, *error):
            pass

    done = []
    for started in (False, True):
        threads.set_num_threads(3)
        if started:
            threads.in_parallel(done.append, range(4))
        with monkeypatch.context() as patch:
            patch.setattr(threads, "PRODUCTS", Late())
            in_time(lambda: threads.in_parallel(done.append, range(4)))
    assert sorted(done) == sorted(list(range(4)) * 3)


def test_threads_that_are_let_go_end():
    """Setting the number again and again leaves no threads behind."""
    threads.set_num_threads(1)
    before = threading.active_count()
    for _ in range(5):
        threads.set_num_threads(4)
        threads.in_parallel(lambda job: None, range(4))
    threads.set_num_threads(1)
    deadline = time.monotonic() + PATIENCE
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_a_thread_keeps_nothing_of_what_it_did():
    """When the work is done, the arrays that it needed can be given back."""
    threads.set_num_threads(2)

    class Array(np.ndarray):
        pass

    def work():
        array = np.zeros(3).view(Array)
        threads.in_parallel(lambda job: array.sum(), range(4))
        return weakref.ref(array)

    kept, deadline = work(), time.monotonic() + 2
    while kept() is not None and time.monotonic() < deadline:
        time.sleep(0.01)  # a thread may be on its way out of the task
        gc.collect()
    assert kept() is None


@pytest.mark.parametrize("way", ["ignore", "raise"])
def test_every_thread_treats_overflow_as_the_caller_does(way):
    """What np.errstate says holds for all of the work."""
    threads.set_num_threads(2)
    meeting = threading.Barrier(2)
    numbers = np.full((2, 8), 1e300)

    def task(job):
        meeting.wait(PATIENCE)
        numbers[job] * numbers[job]
        if way == "raise":
            raise AssertionError("not raised")

    with np.errstate(over=way):
        if way == "ignore":
            threads.in_parallel(task, range(2))  # a warning would be an error
            return
        errors = []

        def careful(job):
            try:
                task(job)
            except (FloatingPointError, RuntimeWarning, AssertionError) as error:
                errors.append(type(error))

        threads.in_parallel(careful, range(2))
    assert errors == [FloatingPointError] * 2


@FORKS
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    """Its parent's are not there; it makes its own, and both go on."""
    said = run(
        """
        import os, warnings
        import numpy as np
        from cnnbook import fast, threads

        warnings.simplefilter("ignore")
        threads.SHORT = -1
        threads.set_num_threads(3)
        x, weight = np.ones((4, 8, 9, 9)), np.ones((8, 8, 3, 3))

        def work():
            done = []
            threads.in_parallel(done.append, range(9))
            assert sorted(done) == list(range(9))
            assert (fast.conv2d(x, weight) == 72).all()

        work()
        for _ in range(3):
            child = os.fork()
            if child == 0:
                try:
                    assert threads.get_num_threads() == 3
                    work()
                    threads.set_num_threads(2)
                    work()
                    os._exit(0)
                finally:
                    os._exit(1)
            print(os.waitpid(child, 0)[1])
            work()
        """
    )
    assert said == "0\n" * 3


@FORKS
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_process_forked_in_the_middle_of_work():
    """A lock that another thread of the parent holds isn't held in the child."""
    said = run(
        """
        import os, signal, threading, warnings
        from cnnbook import threads

        warnings.simplefilter("ignore")
        threads.set_num_threads(2)
        begun, forked = threading.Barrier(3), threading.Event()

        def task(job):
            begun.wait()
            forked.wait()

        user = threading.Thread(target=threads.in_parallel, args=(task, range(2)))
        user.start()
        begun.wait()
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            done = []
            threads.in_parallel(done.append, range(4))
            os._exit(sorted(done) != [0, 1, 2, 3])
        print(os.waitpid(child, 0)[1])
        forked.set()
        user.join()
        """
    )
    assert said == "0\n"


@AFFINITY
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("fails", [False, True])
def test_the_callers_cores_are_its_own_again(count, fails):
    """Also if a task raises; and in between, the callers and the others' differ."""
    threads.set_num_threads(count)
    before, seen = os.sched_getaffinity(0), {}
    meeting = threading.Barrier(count)

    def task(job):
        meeting.wait(PATIENCE)
        seen[threading.get_ident()] = os.sched_getaffinity(0)
        if fails:
            raise ValueError("wrong")

    for _ in range(2):
        try:
            threads.in_parallel(task, range(count))
        except ValueError:
            assert fails
        assert os.sched_getaffinity(0) == before
    assert len(seen) == count
    if len(before) >= count:
        for one, other in itertools.combinations(seen.values(), 2):
            assert not one & other
    else:
        assert all(cores == before for cores in seen.values())


@AFFINITY
def test_a_caller_with_a_single_core_keeps_it():
    """If it is that of another thread of the crew, it stays nevertheless."""
    threads.set_num_threads(2)
    threads.in_parallel(lambda job: None, range(2))

    def user():
        for core in sorted(os.sched_getaffinity(0)):
            os.sched_setaffinity(0, {core})
            threads.in_parallel(lambda job: None, range(4))
            assert os.sched_getaffinity(0) == {core}

    in_time(user)


def test_threads_work_where_none_is_held_to_a_core(monkeypatch):
    """On macOS and Windows, the system doesn't offer it."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    threads.set_num_threads(3)
    meeting, done = threading.Barrier(3), []

    def task(job):
        meeting.wait(PATIENCE)
        done.append(job)

    in_time(lambda: threads.in_parallel(task, range(3)))
    assert sorted(done) == [0, 1, 2]


# Matrix products keep to one thread.


@pytest.mark.parametrize("count", [1, 2, 3])
def test_products_keep_to_one_thread_during_work_only(products, count):
    """Also if a task raises."""
    threads.set_num_threads(count)
    seen = []

    def task(job):
        seen.append(products())
        if job == 5:
            raise ValueError("wrong")

    for jobs in (range(1), range(4), range(9)):
        try:
            threads.in_parallel(task, jobs)
        except ValueError:
            assert 5 in jobs
        assert products() == {2}
    assert seen == [{1}] * len(seen)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_products_are_free_again_after_work_within_work(products, count):
    """The inner work must not take the outer one's number for the user's."""
    threads.set_num_threads(count)
    seen = []

    def inner(job):
        seen.append(products())

    def outer(job):
        threads.in_parallel(inner, range(2))
        seen.append(products())

    threads.in_parallel(outer, range(4))
    assert products() == {2}
    assert seen == [{1}] * 12


@pytest.mark.parametrize("ends", ["this", "other"])
@pytest.mark.parametrize("begins", ["this", "other"])
def test_products_are_free_again_after_the_work_of_two_users(products, begins, ends):
    """Whoever of two begins and ends first: when both have ended, all is as before."""
    threads.set_num_threads(2)
    inside, over, seen = threading.Event(), threading.Event(), []

    def their_task(job):
        inside.set()
        over.wait(PATIENCE)

    other = threading.Thread(target=threads.in_parallel, args=(their_task, [0]))

    def their_work(event):
        if event == "begins":
            other.start()
            assert inside.wait(PATIENCE)
        else:
            over.set()
            other.join(PATIENCE)

    def task(job):
        if begins == "this":
            their_work("begins")
        seen.append(products())
        if ends == "other":
            their_work("ends")

    if begins == "other":
        their_work("begins")
    threads.in_parallel(task, [0])
    if ends == "this":
        their_work("ends")
    assert seen == [{1}]
    assert products() == {2}
    threads.in_parallel(lambda job: seen.append(products()), range(3))
    assert seen == [{1}] * 4
    assert products() == {2}


def test_results_are_the_same_without_threadpoolctl():
    """The package is optional: fewer seconds, but no other numbers."""
    code = """
        import sys
        if {blocked}:
            sys.modules["threadpoolctl"] = None
        import numpy as np
        from cnnbook import fast, threads

        threads.SHORT = -1
        threads.set_num_threads(2)
        rng = np.random.default_rng(0)
        x, weight = rng.normal(size=(3, 8, 9, 9)), rng.normal(size=(8, 8, 3, 3))
        y = fast.conv2d(x, weight, padding=1)
        dx, dweight, dbias = fast.conv2d_backward(y, x, weight, padding=1)
        results = y, dx, dweight, dbias, threads.product(y[0, 0], y[1, 1])
        print([float(np.vdot(a, a)) for a in results])
        if {blocked}:
            assert threads.PRODUCTS.libraries == []
    """
    without, having = (
        np.array(eval(run(code.format(blocked=blocked)))) for blocked in (True, False)
    )
    np.testing.assert_allclose(without, having, rtol=1e-12)


# Pieces.


@settings(max_examples=200)
@given(
    total=st.integers(0, 300),
    most=st.integers(-2, 310),
    seconds=st.sampled_from([0, threads.SHORT, 1]),
    count=st.integers(1, 5),
)
def test_pieces_cover_everything_once(total, most, seconds, count):
    """In order, none empty, none too long, lengths equal but for one."""
    before = threads.STATE["crew"]
    threads.STATE["crew"] = threads.Crew(count)
    try:
        cut = threads.pieces(total, most, seconds)
    finally:
        threads.STATE["crew"] = before
    assert [k for piece in cut for k in range(total)[piece]] == list(range(total))
    lengths = [piece.stop - piece.start for piece in cut]
    assert all(1 <= length <= max(1, most) for length in lengths)
    assert max(lengths, default=0) - min(lengths, default=0) <= 1
    fewest = math.ceil(total / max(1, most))
    long = seconds > threads.SHORT
    assert len(cut) == (max(fewest, min(count, total)) if long else fewest)


# Products.


@settings(max_examples=60)
@given(
    shape=st.tuples(*[st.integers(0, 40)] * 3),
    types=st.sampled_from(["ff", "dd", "fd", "df"]),
    turned=st.tuples(st.booleans(), st.booleans()),
    count=st.integers(1, 3),
)
def test_a_product_is_numpys(shape, types, turned, count):
    """Of any sizes, also none, in any order of memory, on any number of threads."""
    (m, k, n), rng = shape, np.random.default_rng(sum(shape))
    a, b = (
        rng.standard_normal(size).astype(t)
        for size, t in zip([(m, k), (k, n)], types, strict=True)
    )
    a, b = (
        np.asfortranarray(x) if t else x for x, t in zip((a, b), turned, strict=True)
    )
    short, before = threads.SHORT, threads.get_num_threads()
    threads.SHORT = -1
    threads.set_num_threads(count)
    try:
        y = threads.product(a, b)
    finally:
        threads.SHORT = short
        threads.set_num_threads(before)
    assert y.dtype == (a @ b).dtype
    tolerance = 1e-5 if y.dtype == np.float32 else 1e-12
    np.testing.assert_allclose(y, a @ b, rtol=tolerance, atol=tolerance * 10)


# Memory that is used again.


def place(array):
    """Return where an array lies in memory."""
    return array.__array_interface__["data"][0]


def bytes_kept():
    """Return how much memory this thread keeps."""
    return sum(buffer.size for buffer in threads.BUFFERS.kept)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, bool, "i2"])
@pytest.mark.parametrize(
    "shape", [(), (0,), (3, 0, 5), (1,), (7, 3), (3, 50000), (2**20,)]
)
def test_an_array_is_like_numpys(shape, dtype):
    """Shape, dtype, order, one's own to write to; small, large or of size zero."""
    for _ in range(3):
        array, like = threads.empty(shape, dtype), np.empty(shape, dtype)
        assert type(array) is np.ndarray
        assert (array.shape, array.dtype) == (like.shape, like.dtype)
        assert array.flags.c_contiguous and array.flags.aligned
        assert array.flags.writeable
        array[...] = 1
        assert np.all(array == 1)


def test_memory_that_is_given_back_is_used_again():
    """For the same size, a little less, or another dtype; not for much less."""
    first = threads.empty((1000, 100), np.float32)
    where = place(first)
    del first
    for shape, dtype in [((1000, 100), "f4"), ((500, 100), "f8"), ((90000,), "f4")]:
        again = threads.empty(shape, dtype)
        assert place(again) == where
        del again
    assert place(threads.empty((1001, 100), np.float32)) != where
    assert place(threads.empty((70000,), np.float32)) != where


VIEWS = {
    "itself": lambda a: a,
    "a part": lambda a: a[3:5, ::2],
    "a number": lambda a: a[0, 0, ...],
    "transposed": lambda a: a.T,
    "a part of a part": lambda a: a[1:].reshape(-1)[5:].T[:3],
    "other numbers": lambda a: a.view(np.uint8),
    "windows": lambda a: np.lib.stride_tricks.sliding_window_view(a, (2, 2)),
    "strides": lambda a: np.lib.stride_tricks.as_strided(a[5:], (2, 2)),
    "a buffer": lambda a: memoryview(a),
    "from a buffer": lambda a: np.frombuffer(memoryview(a), np.float32),
    "an iterator": lambda a: a.flat,
    "a broadcast": lambda a: np.broadcast_to(a[0], (4, 100)),
    "in a list": lambda a: [{"deep": (a[0],)}],
    "in a function": lambda a: lambda: a,
    "ctypes": lambda a: np.ctypeslib.as_ctypes(a),
    "a matrix": lambda a: np.asmatrix(a),
    "a mask": lambda a: np.ma.masked_array(a, copy=False),
}


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("kind", VIEWS)
def test_memory_that_somebody_looks_at_is_not_used_again(kind):
    """However somebody holds on to it; and when they let go, it is free."""
    array = threads.empty((1000, 100), np.float32)
    where = place(array)
    view = VIEWS[kind](array)
    del array
    others = [threads.empty((1000, 100), np.float32) for _ in range(3)]
    assert where not in map(place, others)
    del view, others
    gc.collect()
    places = {place(a) for a in [threads.empty((1000, 100), np.float32)] * 1}
    held = [threads.empty((1000, 100), np.float32) for _ in range(4)]
    assert where in places | set(map(place, held))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=40))
def test_arrays_in_use_never_overlap(actions):
    """Asking and giving back in any order, arrays are apart and keep their numbers."""
    held = {}
    for number, (name, size) in enumerate(actions):
        held.pop(name, None)
        if size > 2:
            array = threads.empty((size * 10000,), np.float64)
            array[...] = number
            held[name] = array[size:], number  # a view will do
        for array, own in held.values():
            assert np.all(array == own)
    arrays = [array for array, _ in held.values()]
    for one, other in itertools.combinations(arrays, 2):
        assert not np.shares_memory(one, other)


def test_small_arrays_are_not_kept():
    """Under LEAST bytes, NumPy is fast enough."""
    threads.empty((threads.LEAST - 1,), np.uint8)
    threads.empty((0,), np.float64)
    assert bytes_kept() == 0
    threads.empty((threads.LEAST,), np.uint8)
    assert bytes_kept() == threads.LEAST


def test_unused_memory_is_kept_up_to_a_limit(monkeypatch):
    """The oldest goes first; what is in use stays, however much it is."""
    monkeypatch.setattr(threads, "KEEP", 10 * 2**20)
    for k in range(1, 30):
        threads.empty((k * 2**18,), np.uint8)
        assert bytes_kept() <= threads.KEEP
    held = [threads.empty((2**20,), np.uint8) for _ in range(15)]
    for k, array in enumerate(held):
        array[...] = k
    threads.empty((3 * 2**20,), np.uint8)
    assert all(np.all(array == k) for k, array in enumerate(held))
    del held, array
    threads.empty((threads.KEEP,), np.uint8)
    assert bytes_kept() == threads.KEEP


def test_no_more_is_given_back_than_must_be(monkeypatch):
    """The newest of what is unused stays, if there is room for it."""
    monkeypatch.setattr(threads, "KEEP", 100 * 2**16)
    arrays = [threads.empty((k * 2**16,), np.uint8) for k in (20, 30, 40)]
    del arrays
    threads.empty((60 * 2**16,), np.uint8)
    assert [b.size // 2**16 for b in threads.BUFFERS.kept] == [40, 60]


def test_memory_beyond_the_limit_is_given_back(monkeypatch):
    """An array larger than all that may be kept isn't kept when it is unused."""
    monkeypatch.setattr(threads, "KEEP", 10 * 2**20)
    threads.empty((11 * 2**20,), np.uint8)
    threads.empty((2**20,), np.uint8)
    assert bytes_kept() <= threads.KEEP
    threads.empty((11 * 2**20,), np.uint8)
    assert bytes_kept() <= threads.KEEP


def test_every_thread_has_memory_of_its_own():
    """What one gives back, another doesn't get; an array can outlive its thread."""
    mine = threads.empty((2**20,), np.uint8)
    where, held = place(mine), []
    del mine

    def other():
        held.append(threads.empty((2**20,), np.uint8))
        held[0][...] = 7
        assert bytes_kept() == 2**20
        return place(held[0])

    theirs = in_time(other)
    assert theirs != where
    gc.collect()
    others = [threads.empty((2**20,), np.uint8) for _ in range(3)]
    for array in others:
        array[...] = 1
    assert where in map(place, others)
    assert theirs not in map(place, others)
    assert np.all(held[0] == 7)


def test_a_network_without_a_library(monkeypatch):
    from cnnbook import threads
    from cnnbook.models import MODELS

    rng = np.random.default_rng(0)
    images = rng.normal(size=(6, 1, 28, 28)).astype(np.float32)
    for name in ("small", "light"):
        both = []
        for library in (True, False):
            monkeypatch.setattr(threads, "LIBRARY", library)
            model = MODELS[name].build(rng=0).eval()
            logits = model(images)
            dx = model.backward(np.ones_like(logits))
            both.append([logits, dx, *(p.grad.copy() for p in model.parameters())])
        for one, other in zip(*both, strict=True):
            assert np.allclose(one, other, rtol=1e-3, atol=1e-3)
