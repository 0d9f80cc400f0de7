# SPDX-License-Identifier: BSD-3-Clause
"""What sockets do on the kernel and on weir must be the same, case by case: tests/differential.
`make differential` runs all of it; here are the groups in which nothing is unexplained."""
import os
import sys

import pytest
import weirtest

sys.path.insert(0, os.path.join(weirtest.TOP, "tests", "differential"))
import differential  # noqa: E402

GROUPS = ("life", "send", "recv", "flags", "fd", "signals", "waits", "zerocopy", "option",
          "options", "fcntl", "sigio", "ready", "watch")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("differential"))
    os.chmod(folder, 0o755)
    return differential.compile_program(folder)


@pytest.fixture(scope="module")
def on_kernel(program):
    return differential.run_on_kernel(program, [group + ".*" for group in GROUPS])


def compare(weir, program, on_kernel, group):
    kernel = {name: lines for name, lines in on_kernel.items() if name.startswith(group + ".")}
    assert kernel
    ours = differential.run_on_weir(weir, program, [group + ".*"])
    again = differential.differing(kernel, ours)
    if again:
        ours.update(differential.run_on_weir(weir, program, again, 1))
        kernel.update(differential.run_on_kernel(program, again, 1))
    result = differential.Result(kernel, ours, differential.justifications(), False)
    print("\n".join(result.rows), result.closing(), sep="\n")
    assert not result.unexplained


@pytest.mark.parametrize("group", GROUPS)
def test_same(make_weir, program, on_kernel, group):
    compare(make_weir(ports=()), program, on_kernel, group)


# A backlog is that of each worker's part of a listener.
OF_TWO = ("signals.connect_*: connections wait on each worker, so a backlog of 0 takes one more",)


def test_two_workers(make_weir, program, on_kernel):
    weir = make_weir(ports=(), options=("--workers", "2"))
    kernel = dict(on_kernel)
    names = [group + ".*" for group in GROUPS]
    ours = differential.run_on_weir(weir, program, names)
    again = differential.differing(kernel, ours)
    if again:
        ours.update(differential.run_on_weir(weir, program, again, 1))
        kernel.update(differential.run_on_kernel(program, again, 1))
    known = differential.justifications() + [differential.Justification(line) for line in OF_TWO]
    result = differential.Result(kernel, ours, known, False)
    print("\n".join(result.rows), result.closing(), sep="\n")
    assert not result.unexplained
