#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measure weir beside the kernel, in one run, in alternation, and write build/bench.json.

  bench.py [--build DIR] [--rounds N] [--only NAME[,NAME...]] [--seconds S] [--json FILE]

Every measurement is taken in turn: the kernel as it comes, the kernel in its better case (both
ends on one core, or spinning on non-blocking sockets), weir; then again, for at least five rounds.
`kernel` in the JSON is the case with the better median, named in `kernel_case`; all cases are in
`kernel_cases`. `ratio` is above 1 where weir is better. Programs are the same and unmodified:
redis-server, redis-benchmark, nginx, wrk, iperf3, and pingpong.c and calls.c beside this file.
Everything runs
on loopback addresses inside a network namespace that this program makes.

tcp_segments.c and tcp_connections.c measure weir's TCP alone, in this process's namespace but on no
network: there is no kernel's figure beside theirs. tcp_bulk_fault is one stream over a TAP behind a
fault link that loses nothing, 1500 bytes a packet, no offloads: weir sends, the kernel receives.
kernel_drops.py measures what `weir dropwatch --kernel` adds to each of the kernel's drops.
redis_get_traced is redis_get while `weir trace` follows another flow, beside it without one.
"""
import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import kernel_drops

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
HIGHER = {"redis_get", "redis_set", "redis_get_p16", "nginx_keepalive", "nginx_close", "tcp_bulk",
          "tcp_bulk_fault", "tcp_conn_per_s", "busy_alone", "busy_beside_idle", "accept_rate",
          "redis_get_untraced", "redis_get_traced"}
UNITS = {"redis_get": "requests/s", "redis_set": "requests/s", "redis_get_p16": "requests/s",
         "nginx_keepalive": "requests/s", "nginx_close": "requests/s", "tcp_bulk": "Gbit/s",
         "tcp_rtt_p50": "us", "tcp_rtt_p99": "us", "udp_rtt_p50": "us", "udp_rtt_p99": "us",
         "idle_cpu": "% of a core", "tcp_bulk_fault": "Gbit/s", "tcp_idle_conn_bytes": "bytes",
         "tcp_conn_per_s": "1/s", "tcp_rx_segment_ns": "ns", "tcp_rx_ack_ns": "ns",
         "tcp_tx_segment_ns": "ns", "call_send_ns": "ns", "call_recv_ns": "ns",
         "call_epoll_wait_ns": "ns", "call_epoll_wait_idle_ns": "ns",
         "busy_alone": "round trips/s", "busy_beside_idle": "round trips/s",
         "accept_rate": "1/s", "redis_get_untraced": "requests/s",
         "redis_get_traced": "requests/s"}
ORDER = ["redis_get", "redis_set", "redis_get_p16", "nginx_keepalive", "nginx_close",
         "tcp_rtt_p50", "tcp_rtt_p99", "udp_rtt_p50", "udp_rtt_p99", "tcp_bulk", "idle_cpu",
         "tcp_bulk_fault", "call_send_ns", "call_recv_ns", "call_epoll_wait_ns",
         "call_epoll_wait_idle_ns", "busy_alone", "busy_beside_idle", "accept_rate",
         "redis_get_untraced", "redis_get_traced"]
TCP_ALONE = [("tcp_segments", [], ["tcp_rx_segment_ns", "tcp_rx_ack_ns", "tcp_tx_segment_ns"]),
             ("tcp_connections", ["rate"], ["tcp_conn_per_s"]),
             ("tcp_connections", ["idle", "1000000"], ["tcp_idle_conn_bytes"])]
FAULT_PORT = "fault,loss=0:tap,name=wbench,addr=198.18.0.1/24"
WEIR_ADDRESS = "127.0.0.1"
IDLE_CONNECTIONS = 10000
REDIS_PORT, HTTP_PORT, PING_PORT, BULK_PORT = 6399, 8099, 7099, 5299


def thread_ns(process, thread):
    """Time that a thread has run, in nanoseconds (finer than the ticks of /proc/PID/stat)."""
    with open("/proc/%s/task/%s/schedstat" % (process, thread)) as schedstat:
        return int(schedstat.read().split()[0])


class Failed(Exception):
    """A measurement could not be made; the message says which and why."""


class Side:
    """Where programs run: on the kernel or on weir, on chosen cores, spinning or not."""

    def __init__(self, name, prefix=(), cores=None, spin=False):
        self.name, self.prefix, self.cores, self.spin = name, list(prefix), cores, spin

    def command(self, argv):
        pin = ["taskset", "-c", self.cores] if self.cores else []
        return pin + self.prefix + list(argv)


class Bench:
    def __init__(self, options):
        self.options = options
        self.tmp = tempfile.mkdtemp(prefix="weir-bench-")
        self.running = []
        self.samples = {}
        self.skipped = []
        self.failed = False
        self.trace_first = False

    # -- processes ---------------------------------------------------------------------------

    def start(self, side, argv, ready=None, env=None):
        """Start a program; wait until `ready` (a string) appears in its output."""
        path = os.path.join(self.tmp, "log-%d" % (len(os.listdir(self.tmp))))
        with open(path, "wb") as log:
            process = subprocess.Popen(side.command(argv), stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=subprocess.STDOUT, env=env, start_new_session=True)
        process.log = path
        self.running.append(process)
        if ready:
            self.wait(lambda: ready in open(path, errors="replace").read(), process,
                      "%s says '%s'" % (argv[0], ready))
        return process

    def wait(self, condition, process, what, seconds=15):
        end = time.monotonic() + seconds
        while not condition():
            if process.poll() is not None or time.monotonic() > end:
                raise Failed("waited in vain until %s; last output:\n%s" %
                             (what, open(process.log, errors="replace").read()[-2000:]))
            time.sleep(0.02)

    def stop(self, process, how=signal.SIGTERM):
        if process.poll() is None:
            try:
                os.killpg(process.pid, how)
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)
            except ProcessLookupError:
                pass
        if process in self.running:
            self.running.remove(process)

    def run(self, side, argv, seconds=60):
        try:
            done = subprocess.run(side.command(argv), stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired as late:
            raise Failed("%s did not end in %d s" % (" ".join(argv), seconds)) from late
        if done.returncode != 0:
            raise Failed("%s: exit %d: %s" % (" ".join(argv), done.returncode,
                                              (done.stderr or done.stdout)[-1000:]))
        return done.stdout

    def close(self):
        for process in list(self.running):
            self.stop(process, signal.SIGKILL)
        shutil.rmtree(self.tmp, ignore_errors=True)

    # -- measurements: each returns {name: value} ----------------------------------------------

    def redis_server(self, side):
        return self.start(side, ["redis-server", "--port", str(REDIS_PORT), "--save", "",
                                 "--appendonly", "no", "--bind", WEIR_ADDRESS,
                                 "--protected-mode", "no"], ready="eady to accept")

    def redis_rate(self, side, requests, *extra):
        out = self.run(side, ["redis-benchmark", "-h", WEIR_ADDRESS, "-p", str(REDIS_PORT),
                              "-n", str(requests), "-c", "50", "--csv", *extra])
        return float(out.strip().splitlines()[-1].split(",")[1].strip('"'))

    def redis(self, side):
        server = self.redis_server(side)
        try:
            n = int(50000 * self.options.seconds)
            return {"redis_get": self.redis_rate(side, n, "-t", "get"),
                    "redis_set": self.redis_rate(side, n, "-t", "set"),
                    "redis_get_p16": self.redis_rate(side, n * 10, "-t", "get", "-P", "16")}
        finally:
            self.stop(server)

    def traced(self, side):
        """What it costs others that one flow is traced: with and without, in turn."""
        server = self.redis_server(side)
        n = int(50000 * self.options.seconds)
        rates = {}
        self.trace_first = not self.trace_first
        try:
            for on in (self.trace_first, not self.trace_first):
                trace = self.start(Side("kernel"), [self.weir[0], "--instance", "bench", "trace",
                                                    "udp port 9"]) if on else None
                rates["redis_get_traced" if on else "redis_get_untraced"] = self.redis_rate(
                    side, n, "-t", "get")
                if trace:
                    self.stop(trace, signal.SIGINT)
                    with open(trace.log, encoding="utf-8") as log:
                        if "0 packets, 0 records lost" not in log.read():
                            raise Failed("the trace saw packets of others, or did not run")
            return rates
        finally:
            self.stop(server)

    def nginx_server(self, side):
        root = os.path.join(self.tmp, "www")
        os.makedirs(root, exist_ok=True)
        os.chmod(self.tmp, 0o755)
        with open(os.path.join(root, "1k.html"), "w") as page:
            page.write("weir" * 256)
        conf = os.path.join(self.tmp, "nginx.conf")
        with open(conf, "w") as out:
            out.write("""
worker_processes 2; daemon off; pid %s/nginx.pid; error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off; sendfile on; keepalive_requests 1000000; open_file_cache max=100;
  client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f;
  uwsgi_temp_path %s/u; scgi_temp_path %s/s;
  server { listen %s:%d; root %s; }
}
""" % (self.tmp, self.tmp, self.tmp, self.tmp, self.tmp, self.tmp, WEIR_ADDRESS, HTTP_PORT, root))
        server = self.start(side, ["nginx", "-p", self.tmp, "-c", conf, "-e", "stderr"])
        self.wait(lambda: self.answers(side), server, "nginx answers")
        return server

    def answers(self, side):
        url = "http://%s:%d/1k.html" % (WEIR_ADDRESS, HTTP_PORT)
        curl = side.command(["curl", "-s", "-o", "/dev/null", "-m", "2", url])
        return subprocess.run(curl, check=False).returncode == 0

    def wrk(self, side, *extra):
        seconds = "%gs" % max(1, self.options.seconds)
        out = self.run(side, ["wrk", "-t", "1", "-c", "50", "-d", seconds, *extra,
                              "http://%s:%d/1k.html" % (WEIR_ADDRESS, HTTP_PORT)])
        wrong = re.search(r"(Non-2xx|Socket errors).*", out)
        if wrong:
            self.note("wrk on %s: %s" % (side.name, wrong[0]))
        return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])

    def nginx(self, side):
        server = self.nginx_server(side)
        try:
            return {"nginx_keepalive": self.wrk(side),
                    "nginx_close": self.wrk(side, "-H", "Connection: close")}
        finally:
            self.stop(server, signal.SIGTERM)

    def ping(self, side, kind):
        program = os.path.join(self.options.build, "tests", "bench", "pingpong")
        spin = ["spin"] if side.spin else []
        server = self.start(side, [program, "server", kind, str(PING_PORT)] + spin,
                            ready="ready")
        try:
            rounds = str(int(10000 * self.options.seconds))
            out = json.loads(self.run(side, [program, "client", kind, WEIR_ADDRESS, str(PING_PORT),
                                             rounds] + spin))
            return {kind + "_rtt_p50": out["p50_ns"] / 1000,
                    kind + "_rtt_p99": out["p99_ns"] / 1000}
        finally:
            self.stop(server)

    def calls(self, side):
        program = os.path.join(self.options.build, "tests", "bench", "calls")
        values = json.loads(self.run(side, [program, "cost", str(IDLE_CONNECTIONS)]))
        seconds = "%g" % max(1, self.options.seconds)
        values.update(json.loads(self.run(side, [program, "accept", seconds])))
        return values

    def bulk(self, side):
        port = ["-p", str(BULK_PORT)]
        seconds = "%d" % max(1, round(self.options.seconds))
        server = self.start(side, ["iperf3", "-4", "-s", "-1", "--forceflush", "-B", WEIR_ADDRESS]
                            + port, ready="listening")
        try:
            out = json.loads(self.run(side, ["iperf3", "-4", "-c", WEIR_ADDRESS, "-t", seconds,
                                             "-J"] + port))
            return {"tcp_bulk": out["end"]["sum_received"]["bits_per_second"] / 1e9}
        finally:
            self.stop(server)

    def bulk_fault(self, side):
        """weir over a fault link that loses nothing; the kernel over its loopback would be another
        thing, so there is no such side."""
        port = ["-p", str(BULK_PORT + 1)]
        seconds = "%d" % max(1, round(self.options.seconds))
        kernel = Side("kernel")
        server = self.start(kernel, ["iperf3", "-4", "-s", "-1", "--forceflush", "-B",
                                     "198.18.0.1"] + port, ready="listening")
        try:
            out = json.loads(self.run(side, ["iperf3", "-4", "-c", "198.18.0.1", "-t", seconds,
                                             "-J"] + port))
            return {"tcp_bulk_fault": out["end"]["sum_received"]["bits_per_second"] / 1e9}
        finally:
            self.stop(server)

    def tcp_alone(self):
        """Rows of programs that measure by themselves and print {name: {min, median, max}}, or a
        number."""
        rows = []
        for program, args, names in TCP_ALONE:
            if self.options.only and not set(names) & set(self.options.only):
                continue
            print("  %s %s ..." % (program, " ".join(args)), end=" ", flush=True)
            try:
                out = json.loads(self.run(Side("weir"), [
                    os.path.join(self.options.build, "tests", "bench", program)] + args, 300))
            except (Failed, ValueError) as why:
                self.note("%s failed: %s" % (program, why))
                self.failed = True
                continue
            for name in names:
                value = out[name]
                if not isinstance(value, dict):
                    value = {"min": value, "median": value, "max": value, "runs": 1}
                rows.append({"name": name, "unit": UNITS[name],
                             "better": "higher" if name in HIGHER else "lower", "weir": value,
                             "kernel": None, "ratio": None, "kernel_case": None,
                             "kernel_cases": {}})
            print(", ".join("%s %.4g" % (r["name"], r["weir"]["median"])
                            for r in rows[-len(names):]), flush=True)
        return rows

    def idle(self, side):
        """CPU of everything that sits there with nothing to do: nginx, redis, and weird."""
        servers = [self.redis_server(side), self.nginx_server(side)]
        try:
            groups = {p.pid for p in servers}
            if side.name == "weir":
                groups.add(self.weird.pid)
            time.sleep(1)
            before, start = self.cpu_seconds(groups), time.monotonic()
            time.sleep(2 + self.options.seconds)
            spent = self.cpu_seconds(groups) - before
            return {"idle_cpu": max(0.01, 100 * spent / (time.monotonic() - start))}
        finally:
            for server in servers:
                self.stop(server)

    @staticmethod
    def cpu_seconds(groups):
        """User and system time of every process of these process groups."""
        total = 0
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open("/proc/%s/stat" % entry) as stat:
                    fields = stat.read().rsplit(")", 1)[1].split()
                if int(fields[2]) in groups:
                    total += sum(thread_ns(entry, t)
                                 for t in os.listdir("/proc/%s/task" % entry)) / 1e9
            except (OSError, IndexError, ValueError):
                continue
        return total

    # -- the run -------------------------------------------------------------------------------

    def note(self, text):
        self.skipped.append(text)
        print("  ! " + text, flush=True)

    def start_weird(self):
        rundir = os.path.join(self.tmp, "run")
        os.makedirs(rundir)
        os.environ["WEIR_RUNDIR"] = rundir
        weird = os.path.join(self.options.build, "src", "bin", "weird")
        weir = os.path.join(self.options.build, "src", "bin", "weir")
        self.weird = self.start(Side("kernel"), [weird, "--instance", "bench", "--port", FAULT_PORT,
                                                 "--addr", "198.18.0.2/24"]
                                + self.options.weird_args, ready="ready")
        self.weir = [weir, "--instance", "bench", "run", "--"]

    def sides(self, kind):
        if kind in ("bulk_fault", "traced"):
            return [Side("weir", self.weir)]
        kernel = [Side("kernel"), Side("kernel, one core", cores="0")]
        if kind in ("tcp", "udp"):
            kernel.append(Side("kernel, spinning", spin=True))
        if kind == "idle":
            kernel = kernel[:1]
        return kernel + [Side("weir", self.weir)]

    def measure(self, kind, function, names):
        if self.options.only and not set(names) & set(self.options.only):
            return
        for number in range(self.options.rounds):
            for side in self.sides(kind):
                print("  %s, round %d/%d: %s ..." %
                      (kind, number + 1, self.options.rounds, side.name), end=" ", flush=True)
                try:
                    values = function(side)
                except (Failed, ValueError, KeyError, IndexError, TypeError) as why:
                    self.note("%s on %s failed: %s" % (kind, side.name, why))
                    continue
                print(", ".join("%s %.4g" % item for item in values.items()), flush=True)
                for name, value in values.items():
                    self.samples.setdefault(name, {}).setdefault(side.name, []).append(value)

    def all(self):
        self.start_weird()
        self.measure("redis", self.redis, ORDER[0:3])
        self.measure("nginx", self.nginx, ORDER[3:5])
        self.measure("tcp", lambda side: self.ping(side, "tcp"), ORDER[5:7])
        self.measure("udp", lambda side: self.ping(side, "udp"), ORDER[7:9])
        self.measure("bulk", self.bulk, ORDER[9:10])
        self.measure("idle", self.idle, ORDER[10:11])
        self.measure("bulk_fault", self.bulk_fault, ORDER[11:12])
        self.measure("calls", self.calls, ORDER[12:19])
        self.measure("traced", self.traced, ORDER[19:21])
        self.stop(self.weird)
        return [self.summary(name) for name in ORDER if name in self.samples] + \
            self.tcp_alone() + kernel_drops.rows(self, Side("kernel"), Failed)

    def summary(self, name):
        higher = name in HIGHER
        cases = {side: {"min": min(v), "median": statistics.median(v), "max": max(v),
                        "runs": len(v)} for side, v in self.samples[name].items()}
        weir = cases.pop("weir", None)
        pick = max if higher else min
        best = pick(cases, key=lambda side: cases[side]["median"]) if cases else None
        ratio = None
        if weir and best:
            ratio = weir["median"] / cases[best]["median"]
            ratio = round(ratio if higher else 1 / ratio, 3)
        return {"name": name, "unit": UNITS[name], "better": "higher" if higher else "lower",
                "weir": weir, "kernel": cases.get(best), "ratio": ratio, "kernel_case": best,
                "kernel_cases": cases}


def table(rows):
    def figures(case):
        if not case:
            return "%32s" % "-"
        return "%10.4g %10.4g %10.4g" % (case["min"], case["median"], case["max"])
    print("\n%-19s %-12s | %-32s | %-32s | %6s  %s" %
          ("", "", "weir: min, median, max", "kernel's best case: min, med., max", "ratio", ""))
    for row in rows:
        verdict = ("" if row["ratio"] is None else "weir wins" if row["ratio"] >= 1.5 else
                   "about even or a little better" if row["ratio"] >= 1 else "WEIR LOSES")
        if row["kernel_case"]:
            verdict += " (%s)" % row["kernel_case"]
        print("%-19s %-12s | %s | %s | %6s  %s" %
              (row["name"], row["unit"], figures(row["weir"]), figures(row["kernel"]),
               row["ratio"] or "", verdict))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--build", default=os.path.join(TOP, "build"))
    parser.add_argument("--rounds", type=int, default=5,
                        help="of each measurement (at least 5 to be quoted)")
    parser.add_argument("--seconds", type=float, default=2,
                        help="about the length of one measurement")
    parser.add_argument("--only", type=lambda s: s.split(","), help="names, comma-separated")
    parser.add_argument("--json", help="where to write (default BUILD/bench.json)")
    parser.add_argument("--weird-args", type=str.split, default=[], help="more arguments for weird")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    if os.environ.get("WEIR_BENCH_INSIDE") != "1":
        os.environ["WEIR_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--", sys.executable] + sys.argv)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(options)
    try:
        rows = bench.all()
    finally:
        bench.close()
    path = options.json or os.path.join(options.build, "bench.json")
    with open(path, "w") as out:
        json.dump(rows, out, indent=1)
        out.write("\n")
    table(rows)
    print("\nwritten to %s; every kernel case is in it" % path)
    for text in bench.skipped:
        print("! " + text.splitlines()[0])
    one_sided = {name for _, _, names in TCP_ALONE for name in names} | {
        "tcp_bulk_fault", "redis_get_untraced", "redis_get_traced"}
    lame = [row for row in rows if not row["weir"] or
            (row["ratio"] is None and row["name"] not in one_sided)]
    return 1 if lame or bench.failed or not rows else 0


sys.exit(main())
