# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the system tests; weirtest.py has what they are made of.

WEIR_BUILD names the build folder (default: build). Root is needed: namespaces and TAP ports.
"""
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import weirtest  # noqa: E402

os.environ["PATH"] += ":/usr/sbin:/sbin"
os.environ.pop("WEIR_INSTANCE", None)
os.environ.pop("WEIR_RUNDIR", None)

# Whoever was started in the background ignores these, and so would all the programs of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_configure(config):
    if os.geteuid() != 0:
        raise pytest.UsageError("the system tests need root: sudo make test")
    if not os.path.exists(os.path.join(weirtest.BIN, "weird")):
        raise pytest.UsageError(f"there is no weird in {weirtest.BIN}: build first, or set "
                                "WEIR_BUILD")


@pytest.fixture
def net():
    """A network namespace of the test's own."""
    with weirtest.Namespace() as namespace:
        yield namespace




@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        item.weir_failed = report.failed
        for weir in getattr(item, "weirs", []):
            if report.failed and weir.daemon:
                report.sections.append(("log of weird", weir.daemon.log()[-4000:]))
                for program in weir.programs:
                    report.sections.append((f"log of {program.name} ({program.pid})",
                                            program.log()[-2000:]))


@pytest.fixture
def make_weir(net, request):
    """Start instances: make_weir(instance=..., ports=..., options=...). Each is checked at the end
    (ledger, buffers, sanitizers) and ended."""
    weirs = request.node.weirs = []

    def make(**kwargs):
        weir = weirtest.Weir(**kwargs)
        weirs.append(weir)
        return weir.start()

    yield make
    failed = getattr(request.node, "weir_failed", True)
    for weir in reversed(weirs):
        weir.__exit__(AssertionError if failed else None)


@pytest.fixture
def weir(make_weir):
    """One instance on a TAP: weir is 198.18.0.2, the kernel's side 198.18.0.1."""
    return make_weir()
