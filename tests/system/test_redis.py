# SPDX-License-Identifier: BSD-3-Clause
"""Unmodified redis on weir: from the kernel, from weir, and what a message costs in system calls."""
import os
import shutil
import socket

import pytest
from weirtest import WEIR_ADDR

REQUESTS = 200000


def command(connection, *words):
    text = b"*%d\r\n" % len(words)
    for word in words:
        text += b"$%d\r\n%s\r\n" % (len(word), word)
    connection.sendall(text)


def test_from_the_kernel(weir):
    weir.redis()
    value = os.urandom(1 << 20)
    with socket.create_connection((WEIR_ADDR, 6379), timeout=20) as connection:
        answers = connection.makefile("rb")
        command(connection, b"SET", b"key", value)
        assert answers.readline() == b"+OK\r\n"
        command(connection, b"GET", b"key")
        assert answers.readline() == b"$%d\r\n" % len(value)
        assert answers.read(len(value) + 2) == value + b"\r\n"


def test_benchmark_from_the_kernel(weir):
    weir.redis()
    out = weir.on_kernel("redis-benchmark", "-h", WEIR_ADDR, "-t", "get,set", "-n", "20000", "-c",
                         "50", "--csv").done()
    assert '"GET"' in out and '"SET"' in out


@pytest.mark.parametrize("pipeline", [1, 16])
def test_benchmark_on_weir(weir, pipeline):
    weir.redis()
    out = weir.on_weir("redis-benchmark", "-h", WEIR_ADDR, "-t", "get,set", "-n", "50000", "-c",
                       "50", "-P", str(pipeline), "--csv").done()
    assert '"GET"' in out and '"SET"' in out


def test_many_clients_come_and_go(weir):
    weir.redis()
    weir.on_weir("redis-benchmark", "-h", WEIR_ADDR, "-t", "get", "-n", "2000", "-c", "20", "-k",
                 "0", "--csv").done()


def count_calls(path):
    """The sum of an `strace -c` table, without sched_yield (which is waiting)."""
    total = 0
    with open(path, encoding="utf-8") as f:
        for line in f:
            cells = line.split()
            if len(cells) >= 5 and cells[3].isdigit() and cells[-1] not in ("total", "sched_yield"):
                total += int(cells[3])
    return total


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_system_calls_per_message(make_weir, tmp_path):
    """In a busy steady state neither the programs nor the daemon make a system call for each message:
    fewer than one for 50, start and end included. seccomp lets sched_yield pass untraced, so that
    waiting takes as long as without strace."""
    files = {n: str(tmp_path / n) for n in ("weird", "redis-server", "redis-benchmark")}

    def strace(name):
        return ["strace", "-f", "--seccomp-bpf", "-c", "-e", "trace=!sched_yield", "-o",
                files[name]]

    weir = make_weir(wrap=strace("weird"))
    server = weir.redis(wrap=strace("redis-server"))
    out = weir.on_weir("redis-benchmark", "-h", WEIR_ADDR, "-t", "get", "-n", str(REQUESTS), "-c",
                       "50", "--csv", wrap=strace("redis-benchmark")).done(120)
    assert '"GET"' in out
    os.killpg(server.pid, 15)
    server.wait()
    weir.check_ledger()
    assert weir.cli("stop").returncode == 0
    assert weir.daemon.wait() == 0
    weir.dead = True
    counts = {name: count_calls(path) for name, path in files.items()}
    print(counts)
    for name, count in counts.items():
        assert 0 < count < REQUESTS / 50, counts
