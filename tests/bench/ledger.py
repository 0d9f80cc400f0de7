#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the ledger costs: a build with it and one without (-Dledger=false), in alternation.

  ledger.py [--rounds N] [--only NAME[,NAME...]] [--json FILE]

forward, drop: packets.c beside this file, in memory, nanoseconds a packet. instructions: of these,
and of bursts of TCP segments (tcp_segments.c), counted by valgrind, so the same in every
run. redis_get, redis_set: requests a second of redis-benchmark on a weird of the build, both on
weir's loopback.

Each figure is the median of the rounds, with the least and the most; the cost is of the medians.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "scripts"))
sys.dont_write_bytecode = True
import build as builder  # noqa: E402

BUILDS = {"on": "build", "off": "build-noledger"}
TARGETS = ["tests/bench/packets", "tests/bench/tcp_segments", "src/bin/weird", "src/bin/weir",
           "src/shim/libweir_shim.so"]
COUNT, COUNTED = 5000000, 64000
PORT = "6398"


def path(which, name):
    return os.path.join(TOP, BUILDS[which], name)


def packets(which, how):
    """Nanoseconds a packet."""
    done = subprocess.run([path(which, TARGETS[0]), how, str(COUNT)], text=True, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120)
    return float(done.stdout.split()[0])


def counted(*argv):
    """Instructions, as callgrind counts them."""
    with tempfile.TemporaryDirectory() as tmp:
        done = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={tmp}/out",
                               *argv], text=True, check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=300)
    return int(re.search(r"Collected : (\d+)", done.stdout).group(1))


def instructions(which, how):
    """Of a packet: in run_burst() alone, where those of warming up are, too."""
    return counted("--collect-atstart=no", "--toggle-collect=run_burst", path(which, TARGETS[0]),
                   how, str(COUNTED)) / (COUNTED + 3200)


def segment_instructions(which):
    """Of a burst of segments: what 200 bursts more are more."""
    more, fewer = (counted(path(which, TARGETS[1]), "1", n) for n in ("220", "20"))
    return (more - fewer) / 200


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it does not start")
        time.sleep(0.02)


class Instance:
    """A weird with redis on its loopback."""

    def __init__(self, which):
        self.which = which

    def __enter__(self):
        self.tmp = tempfile.TemporaryDirectory()
        self.env = dict(os.environ, WEIR_RUNDIR=os.path.join(self.tmp.name, "run"))
        ready, theirs = os.pipe()
        self.weird = subprocess.Popen([path(self.which, "src/bin/weird"), "--ready-fd",
                                       str(theirs)], env=self.env, pass_fds=(theirs,),
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs)
        if b"ready" not in os.read(ready, 16):
            raise RuntimeError("weird does not start")
        os.close(ready)
        self.redis = subprocess.Popen(self.on_weir("redis-server", "--port", PORT, "--save", ""),
                                      env=self.env, stdout=subprocess.DEVNULL, cwd=self.tmp.name)
        wait_for(lambda: subprocess.run(self.on_weir("redis-cli", "-p", PORT, "ping"),
                                        env=self.env, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL).returncode == 0)
        return self

    def on_weir(self, *argv):
        return [path(self.which, "src/bin/weir"), "run", "--", *argv]

    def requests(self):
        done = subprocess.run(self.on_weir("redis-benchmark", "-p", PORT, "-t", "set,get", "-n",
                                           "200000", "-c", "50", "--csv"), env=self.env,
                              text=True, check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, timeout=120)
        return {name.lower(): float(rate) for name, rate in re.findall(
            r'^"(SET|GET)","([\d.]+)"', done.stdout, re.M)}

    def __exit__(self, *_):
        for child in (self.redis, self.weird):
            child.terminate()
            child.wait(20)
        self.tmp.cleanup()


def redis(which):
    with Instance(which) as instance:
        return instance.requests()


def measure(names, rounds):
    figures = {}

    def put(name, which, value):
        figures.setdefault(name, {}).setdefault(which, []).append(value)

    for turn in range(rounds):
        order = list(BUILDS) if turn % 2 == 0 else list(reversed(BUILDS))
        for which in order:
            for how in ("forward", "drop"):
                if how in names:
                    put(how, which, packets(which, how))
                if turn == 0 and "instructions" in names:
                    put(f"{how}_instructions", which, instructions(which, how))
            if turn == 0 and "instructions" in names:
                put("segments_instructions", which, segment_instructions(which))
            if "redis" in names:
                for name, rate in redis(which).items():
                    put(f"redis_{name}", which, rate)
        print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    return figures


def row(name, sides):
    on, off = statistics.median(sides["on"]), statistics.median(sides["off"])
    cost = off / on - 1 if name.startswith("redis") else on / off - 1
    return {"name": name, "on": sides["on"], "off": sides["off"], "on_median": on,
            "off_median": off, "cost_percent": round(100 * cost, 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="forward,drop,instructions,redis")
    parser.add_argument("--json", help="write the figures there")
    args = parser.parse_args()
    for which, options in (("on", ()), ("off", ("-Dledger=false",))):
        if builder.build(BUILDS[which], options=options, targets=TARGETS) != 0:
            return 1
    rows = [row(name, sides)
            for name, sides in measure(args.only.split(","), args.rounds).items()]
    print("| what | with the ledger: min, median, max | without | cost |\n"
          "| --- | --- | --- | --- |")
    for r in rows:
        on, off = (", ".join(f"{v:,.1f}" for v in (min(s), m, max(s)))
                   for s, m in ((r["on"], r["on_median"]), (r["off"], r["off_median"])))
        print(f"| {r['name']} | {on} | {off} | {r['cost_percent']:+.1f} % |")
    if args.json:
        with open(args.json, "w", encoding="ascii") as file:
            json.dump(rows, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
