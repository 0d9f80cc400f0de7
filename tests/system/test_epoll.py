# SPDX-License-Identifier: BSD-3-Clause
"""Epoll sets as Linux has them: the cases of shim_epoll.c, and those of sets in sets in
shim_nest.c, of poll() on sets in shim_polled.c and of waiting herds in shim_herd.c, on the kernel,
which says what is right, and on weir."""
import os
import re
import subprocess

import pytest

import weirtest

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Path of the program of that name, compiled when it is first asked for."""
    folder = str(tmp_path_factory.mktemp("epoll"))
    os.chmod(folder, 0o755)

    def program(name):
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Werror",
                            "-o", path, os.path.join(HERE, name + ".c"), "-lpthread"],
                           check=True, timeout=60)
        return path

    return program


def cases():
    found = []
    for name in ("shim_epoll", "shim_nest", "shim_polled", "shim_herd"):
        with open(os.path.join(HERE, name + ".c"), encoding="utf-8") as f:
            names = re.findall(r'^\t\{ "(\w+)", \w+ \},$', f.read(), re.M)
        found += [(name, case) for case in names]
    return found


@pytest.fixture
def weir(make_weir):
    return make_weir(ports=())


@pytest.mark.parametrize("name,case", cases())
def test_case(weir, programs, name, case):
    subprocess.run([programs(name), case], check=True, timeout=60)  # the kernel's loopback
    weir.on_weir(programs(name), case).done(60)


def test_many_sockets_in_one_set(make_weir, programs):
    """More than a family has without --sockets. A process has 15,000 at most, where the number of
    descriptors is limited to 20,000: the set is shared."""
    weir = make_weir(ports=(), options=("--sockets", "100000"))
    weir.on_weir(programs("shim_many"), "5", "15000").done(120)


KEPT = """
import os, select, socket, sys
for keep in (False, True):
    child = os.fork()
    if child == 0:
        ep = select.epoll()
        ep.register(socket.socket(), select.EPOLLIN)
        os.set_inheritable(ep.fileno(), keep)
        os.execv("/bin/echo", ["echo", str(keep)])
    assert os.waitpid(child, 0) == (child, 0)
"""


def test_a_set_kept_over_exec_is_told_of(weir):
    """Its weir sockets stay behind; who waits for it there would never learn why."""
    words = "was kept over exec: its sockets on weir do not go along"
    weir.script(KEPT).done()
    weirtest.wait_until(lambda: words in weir.daemon.log(), "it is told")
    assert weir.daemon.log().count(words) == 1


@pytest.mark.parametrize("name,case", [
    ("shim_epoll", "fork_before_sockets"), ("shim_epoll", "fork_maker_dies"),
    ("shim_epoll", "fork_killed"), ("shim_nest", "level"), ("shim_nest", "all_hear"),
    ("shim_polled", "polled_by_many")])
def test_case_two_workers(make_weir, programs, name, case):
    weir = make_weir(ports=(), options=("--workers", "2"))
    weir.on_weir(programs(name), case).done(60)
