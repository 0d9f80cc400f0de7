# SPDX-License-Identifier: BSD-3-Clause
"""PostgreSQL (a process for each connection, latches over epoll and signalfd, as an ordinary user)
and redis (forks that write snapshots while requests come in, replication)."""
import os
import signal
import subprocess

import pytest
from programs import figure
from weirtest import WEIR_ADDR, wait_until

PG = "/usr/lib/postgresql/15/bin"
AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


@pytest.fixture
def postgres(make_weir):
    weir = make_weir(options=("--allow-users",))
    data = os.path.join(weir.tmp, "pg")
    os.mkdir(data, 0o700)
    subprocess.run(["chown", "postgres:", data], check=True, timeout=10)
    subprocess.run([*AS_POSTGRES, f"{PG}/initdb", "-D", data, "-A", "trust", "-N"], check=True,
                   timeout=60, stdout=subprocess.DEVNULL, cwd="/")
    with open(os.path.join(data, "pg_hba.conf"), "a", encoding="ascii") as f:
        f.write("host all all 198.18.0.0/24 trust\n")
    weir.server = weir.on_weir(*AS_POSTGRES, f"{PG}/postgres", "-D", data, "-h", WEIR_ADDR, "-k",
                               data, "-c", "fsync=off", "-c", "shared_buffers=16MB")
    wait_until(lambda: "ready to accept connections" in weir.server.log(), "PostgreSQL is ready")
    yield weir
    # Fast shutdown: the clients' connections are cut.
    assert weir.server.end(signal.SIGINT) == 0


def psql(on, *commands):
    argv = ["psql", "-h", WEIR_ADDR, "-U", "postgres", "-At", "-v", "ON_ERROR_STOP=1"]
    for command in commands:
        argv += ["-c", command]
    return on(*argv)


@pytest.mark.parametrize("more", [(), ("-C",), ("-S", "-j", "2")],
                         ids=["transactions", "connections", "reads"])
def test_pgbench(postgres, more):
    weir = postgres
    bench = ["pgbench", "-h", WEIR_ADDR, "-U", "postgres"]
    weir.on_weir(*bench, "-i", "-q", "postgres").done()
    for on in (weir.on_weir, weir.on_kernel):
        out = on(*bench, "-n", "-c", "8", "-t", "20", *more, "postgres").done()
        assert "number of transactions actually processed: 160/160" in out, out
        assert figure(r"number of failed transactions: (\d+)", out) == 0


def test_copy_cancel_notify(postgres):
    weir = postgres
    answer = psql(weir.on_weir, "select inet_client_addr(), inet_server_addr()").done()
    assert answer == f"{WEIR_ADDR}|{WEIR_ADDR}\n"
    psql(weir.on_kernel, "create table t as select g, md5(g::text) from "
         "generate_series(1, 100000) g").done()
    want = psql(weir.on_kernel, "copy t to stdout").done()
    assert want.count("\n") == 100000
    assert psql(weir.on_weir, "copy t to stdout").done() == want
    # Ctrl-C: psql sends the cancel request over a connection of its own.
    for on in (weir.on_weir, weir.on_kernel):
        sleeper = psql(on, "select pg_sleep(600)")
        wait_until(lambda: psql(weir.on_weir, "select count(*) from pg_stat_activity where query "
                                "= 'select pg_sleep(600)'").done() == "1\n", "it sleeps")
        sleeper.end(signal.SIGINT)
        assert "canceling statement due to user request" in sleeper.log()
    out = psql(weir.on_weir, "listen news", "notify news, 'it came'", "select 1").done()
    assert 'Asynchronous notification "news" with payload "it came" received' in out


def cli(on, *words, port=6379):
    return on("redis-cli", "-h", WEIR_ADDR, "-p", str(port), *words).done()


def start_redis(weir, port, *options):
    folder = os.path.join(weir.tmp, f"redis-{port}")
    os.makedirs(folder, exist_ok=True)
    server = weir.on_weir("redis-server", "--port", str(port), "--bind", WEIR_ADDR, "--save", "",
                          "--protected-mode", "no", "--dir", folder, *options)
    wait_until(lambda: "eady to accept connections" in server.log(), "redis is ready")
    return server


def persistence(weir, name):
    return figure(rf"{name}:(\d+)", cli(weir.on_kernel, "info", "persistence"))


def test_redis_forks_under_load(weir):
    """BGREWRITEAOF and BGSAVE: children with all the connections, that only write a file. Behind a
    restart everything is there."""
    server = start_redis(weir, 6379, "--appendonly", "yes")
    load = weir.on_kernel("redis-benchmark", "-h", WEIR_ADDR, "-t", "set", "-n", "60000", "-r",
                          "20000", "-P", "8", "-d", "64", "--csv")
    assert "started" in cli(weir.on_weir, "bgrewriteaof")
    wait_until(lambda: persistence(weir, "aof_rewrite_in_progress") == 0, "the AOF is rewritten")
    assert "started" in cli(weir.on_weir, "bgsave")
    wait_until(lambda: persistence(weir, "rdb_bgsave_in_progress") == 0, "the snapshot is there")
    assert '"SET"' in load.done()
    assert "aof_last_bgrewrite_status:ok" in cli(weir.on_kernel, "info", "persistence")
    cli(weir.on_weir, "set", "last", "the last one")
    digest, keys = cli(weir.on_weir, "debug", "digest"), cli(weir.on_weir, "dbsize")
    assert server.end() == 0
    start_redis(weir, 6379, "--appendonly", "yes")
    assert cli(weir.on_kernel, "get", "last") == "the last one\n"
    assert (cli(weir.on_weir, "debug", "digest"), cli(weir.on_weir, "dbsize")) == (digest, keys)


def test_redis_replication(weir):
    start_redis(weir, 6379, "--repl-diskless-sync-delay", "0")
    value = "x" * (4 << 20)
    weir.on_kernel("redis-cli", "-h", WEIR_ADDR, "eval",
                   f"redis.call('set', 'large', string.rep('x', {len(value)}))", "0").done()
    start_redis(weir, 6380, "--replicaof", WEIR_ADDR, "6379")
    wait_until(lambda: "master_link_status:up" in cli(weir.on_weir, "info", "replication",
                                                      port=6380), "the replica follows")
    weir.on_weir("redis-benchmark", "-h", WEIR_ADDR, "-t", "set", "-n", "20000", "-r", "5000",
                 "--csv").done()
    wait_until(lambda: cli(weir.on_weir, "debug", "digest") ==
               cli(weir.on_weir, "debug", "digest", port=6380), "both have the same")
    assert cli(weir.on_kernel, "get", "large", port=6380) == value + "\n"


def test_redis_commands(weir):
    start_redis(weir, 6379)
    script = os.path.join(weir.tmp, "commands")
    with open(script, "w", encoding="ascii") as f:
        f.write("MULTI\nSET a 41\nINCR a\nEXEC\n")
    for on in (weir.on_weir, weir.on_kernel):
        out = on("sh", "-c", f"redis-cli -h {WEIR_ADDR} < {script}").done()
        assert out.split() == ["OK", "QUEUED", "QUEUED", "OK", "42"]
        reader = on("redis-cli", "-h", WEIR_ADDR, "subscribe", "channel")
        wait_until(lambda: cli(weir.on_weir, "pubsub", "numsub", "channel").split()[1] == "1",
                   "it is subscribed")
        assert cli(weir.on_kernel, "publish", "channel", "news") == "1\n"
        wait_until(lambda: "news" in reader.log(), "it is told")
        reader.end(signal.SIGKILL)
        wait_until(lambda: cli(weir.on_weir, "pubsub", "numsub", "channel").split()[1] == "0",
                   "redis has seen that it is gone")
    latency = weir.on_weir("redis-cli", "-h", WEIR_ADDR, "--latency", "-i", "1").done()
    assert len(latency.split()) == 4, latency
