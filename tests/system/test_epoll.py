# SPDX-License-Identifier: BSD-3-Clause
"""Epoll sets as Linux has them: the cases of shim_epoll.c on the kernel, which says what is right,
and on weir."""
import os
import re
import subprocess

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("epoll"))
    os.chmod(folder, 0o755)
    path = os.path.join(folder, "shim_epoll")
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Werror", "-o", path,
                    os.path.join(HERE, "shim_epoll.c"), "-lpthread"], check=True, timeout=60)
    return path


def cases():
    with open(os.path.join(HERE, "shim_epoll.c"), encoding="utf-8") as f:
        return re.findall(r'^\t\{ "(\w+)", \w+ \},$', f.read(), re.M)


@pytest.fixture
def weir(make_weir):
    return make_weir(ports=())


@pytest.mark.parametrize("case", cases())
def test_case(weir, program, case):
    subprocess.run([program, case], check=True, timeout=60)  # the kernel's loopback
    weir.on_weir(program, case).done(60)


@pytest.mark.parametrize("case", ["fork_before_sockets", "fork_maker_dies", "fork_killed"])
def test_case_two_workers(make_weir, program, case):
    weir = make_weir(ports=(), options=("--workers", "2"))
    weir.on_weir(program, case).done(60)
