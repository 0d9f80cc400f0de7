# SPDX-License-Identifier: BSD-3-Clause
"""Unmodified redis on weir: from the kernel, from weir, and what a message costs in system
calls."""
import os
import socket
import time

import pytest
from syscalls import SystemCalls
from weirtest import BIN, WEIR_ADDR, wait_until

WINDOW = 50000


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


def info(connection, answers, name):
    """A figure of redis's INFO."""
    command(connection, b"INFO", b"stats")
    length = int(answers.readline()[1:])
    lines = answers.read(length + 2).decode().splitlines()
    return int([line for line in lines if line.startswith(name + ":")][0].split(":")[1])


def is_sanitized():
    with open(os.path.join(BIN, "weird"), "rb") as f:
        return b"__asan_init" in f.read()


@pytest.mark.skipif(is_sanitized(), reason="a sanitized weird is too slow to be kept busy by")
def test_system_calls_per_message(weir):
    """In a busy steady state neither the programs nor the daemon make a system call for each
    message: fewer than one for 50 (sched_yield, while waiting, aside). A request and its answer
    are two messages; here they count as one. The best of a few windows counts, because on a
    machine that has something else to do whoever waits must sleep."""
    server = weir.redis()
    client = weir.on_weir("redis-benchmark", "-h", WEIR_ADDR, "-t", "get", "-n", "1000000000", "-c",
                          "50", "--csv")
    names = ("weird", "redis-server", "redis-benchmark")
    windows = []
    with socket.create_connection((WEIR_ADDR, 6379), timeout=20) as connection:
        answers = connection.makefile("rb")

        def requests():
            return info(connection, answers, "total_commands_processed")

        first = requests()
        wait_until(lambda: requests() > first + 20000, "the benchmark is in its stride", 60)
        deadline = time.monotonic() + 40
        while time.monotonic() < deadline:
            with SystemCalls([weir.daemon.pid, server.pid, client.pid]) as calls:
                before = requests()
                wait_until(lambda: requests() > before + WINDOW, "a window's requests", 60)
                counts = calls.read()
                window = requests() - before
            windows.append({n: c / window for n, c in zip(names, counts)})
            if max(windows[-1].values()) < 1 / 50:
                break
    client.kill_all()
    for window in windows:
        print(window)
    assert max(windows[-1].values()) < 1 / 50, windows
