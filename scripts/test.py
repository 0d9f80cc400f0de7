#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Run every test of weir, part by part, and close with one line "N passed, N failed".

Parts: unit (gcc), unit-asan (AddressSanitizer and UBSan), threads (ThreadSanitizer), sim (the
simulator's short set, and a tenth of it sanitized), conserve (a million frames of a bad world, and
a tenth of them sanitized), system (real programs in network namespaces;
needs root), system-asan (the same, sanitized), fuzz (bounded).
"""

import argparse
import glob
import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree

import build

TOP = build.TOP
PYTHON = "/usr/bin/python3"
SANITIZERS = {
    "ASAN_OPTIONS": "halt_on_error=1:abort_on_error=0:detect_leaks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}


class Part:
    """What came of one part."""

    def __init__(self, name):
        self.name = name
        self.passed = 0
        self.failed = 0
        self.notes = []

    def fail(self, note):
        self.failed += 1
        self.notes.append(note)


def headline(text):
    print(f"\n==== {text} ====", flush=True)


def environment(**more):
    env = dict(os.environ)
    env.update(SANITIZERS)
    env.update(more)
    return env


def count_cases(part, entry):
    """One test program of meson's: how many of its cases passed."""
    text = (entry.get("stdout") or "") + (entry.get("stderr") or "")
    passed = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", text))
    failed = sum(int(n) for n in re.findall(r"\[  FAILED  \] (\d+) test", text))
    if entry["result"] == "OK":
        part.passed += passed or 1
        return
    if entry["result"] == "SKIP":
        part.notes.append(f"skipped: {entry['name']}")
        return
    part.passed += passed
    part.failed += failed or 1
    part.notes.append(f"{entry['name']}: {entry['result']}")


def meson_tests(part, folder, suite, wrap=None):
    path = os.path.join(TOP, folder)
    suffix = "-" + wrap.split()[0] if wrap else ""
    log = os.path.join(path, "meson-logs", f"testlog{suffix}.json")
    if os.path.exists(log):
        os.unlink(log)
    command = [build.MESON, "test", "-C", path, "--no-rebuild", "--print-errorlogs",
               "--num-processes", "2", "--timeout-multiplier", "4", "--suite", suite]
    if wrap:
        command.append(f"--wrap={wrap}")
    status = subprocess.run(command, env=environment()).returncode
    if os.path.exists(log):
        with open(log, encoding="utf-8") as file:
            for line in file:
                count_cases(part, json.loads(line))
    if (status != 0 or part.passed == 0) and part.failed == 0:
        part.fail(f"meson test in {folder} ended with status {status}")


def suite_targets(folder, suite):
    """What ninja has to build for the tests of a suite."""
    path = os.path.join(TOP, folder)
    done = subprocess.run([build.MESON, "introspect", path, "--tests"], text=True, check=True,
                          stdout=subprocess.PIPE)
    suffix = ":" + suite
    programs = [t["cmd"][0] for t in json.loads(done.stdout)
                if any(s == suite or s.endswith(suffix) for s in t["suite"])]
    return sorted({os.path.relpath(p, path) for p in programs})


def part_unit(part, args):
    if build.build("build") != 0:
        return part.fail("build/ does not build")
    return meson_tests(part, "build", "unit")


def part_unit_asan(part, args):
    if build.build("build-asan") != 0:
        return part.fail("build-asan/ does not build")
    return meson_tests(part, "build-asan", "unit")


def part_threads(part, args):
    if build.build("build-tsan", targets=["build.ninja"]) != 0:
        return part.fail("build-tsan/ does not configure")
    targets = suite_targets("build-tsan", "threads")
    if not targets:
        return part.fail("no test is in the suite 'threads'")
    if build.build("build-tsan", targets=targets) != 0:
        return part.fail("build-tsan/ does not build")
    # ThreadSanitizer wants the memory layout that a fixed address space gives.
    return meson_tests(part, "build-tsan", "threads", wrap="setarch -R")


def pytest(part, folder):
    path = os.path.join(TOP, folder)
    report = os.path.join(path, "system-tests.xml")
    if os.geteuid() != 0:
        return part.fail("the system tests make network namespaces, so they need root: "
                         "sudo make test")
    if not glob.glob(os.path.join(TOP, "tests/system/test_*.py")):
        return part.fail("there are no system tests in tests/system")
    if os.path.exists(report):
        os.unlink(report)
    status = subprocess.run([PYTHON, "-m", "pytest", "-v", "-ra", "-p", "no:cacheprovider",
                             "--durations=5", f"--junitxml={report}", "tests/system"], cwd=TOP,
                            env=environment(WEIR_BUILD=path, PYTHONDONTWRITEBYTECODE="1")
                            ).returncode
    if not os.path.exists(report):
        return part.fail(f"pytest left no report (status {status})")
    for suite in xml.etree.ElementTree.parse(report).getroot().iter("testsuite"):
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        part.failed += bad
        part.passed += int(suite.get("tests", 0)) - bad - skipped
        if skipped:
            part.notes.append(f"{skipped} skipped")
    if status != 0 and part.failed == 0:
        part.fail(f"pytest ended with status {status}")
    return None


def part_system(part, args):
    if build.build("build") != 0:
        return part.fail("build/ does not build")
    if os.geteuid() == 0:
        meson_tests(part, "build", "root")  # a TAP of their own, in a namespace of their own
    return pytest(part, "build")


def part_system_asan(part, args):
    if build.build("build-asan") != 0:
        return part.fail("build-asan/ does not build")
    return pytest(part, "build-asan")


def sim_one(part, folder, runs):
    if build.build(folder, targets=["tests/sim/sim"]) != 0:
        return part.fail(f"{folder}/ does not build")
    command = [os.path.join(TOP, folder, "tests/sim/sim"), "--runs", str(runs)]
    process = subprocess.Popen(command, cwd=TOP, env=environment(), text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    last = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line
    status = process.wait()
    done = re.match(r"sim: (\d+) runs, .* (\d+) failures$", last)
    if not done:
        return part.fail(f"{command[0]} ended with status {status} and no closing line")
    part.passed += int(done.group(1)) - int(done.group(2))
    part.failed += int(done.group(2))
    return None


def conserve_one(part, folder, frames):
    if build.build(folder, targets=["tests/conserve/conserve"]) != 0:
        return part.fail(f"{folder}/ does not build")
    command = [os.path.join(TOP, folder, "tests/conserve/conserve"), "--frames", str(frames)]
    done = subprocess.run(command, cwd=TOP, env=environment(), text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout, end="", flush=True)
    last = re.search(r"^conserve: .* (\d+) passed, (\d+) failed$", done.stdout, re.MULTILINE)
    if not last:
        return part.fail(f"{command[0]} ended with status {done.returncode} and no closing line")
    part.passed += int(last.group(1))
    part.failed += int(last.group(2))
    if done.returncode != 0 and last.group(2) == "0":
        part.fail(f"{command[0]} ended with status {done.returncode}")
    return None


def part_conserve(part, args):
    conserve_one(part, "build", args.conserve_frames)
    conserve_one(part, "build-asan", args.conserve_frames // 10)


def part_sim(part, args):
    sim_one(part, "build", args.sim_runs)
    sim_one(part, "build-asan", args.sim_runs // 10)


def fuzz_one(part, path, target, seconds):
    name = os.path.basename(target)
    corpus = os.path.join(path, "corpus", name)
    seeds = os.path.join(path, "seeds", name)
    log = os.path.join(path, f"{name}.log")
    os.makedirs(corpus, exist_ok=True)
    os.makedirs(seeds, exist_ok=True)
    print(f"fuzz: {name} for {seconds} s", end="", flush=True)
    with open(log, "w", encoding="utf-8") as out:
        status = subprocess.run([target, corpus, seeds, f"-max_total_time={seconds}",
                                 "-timeout=20", "-max_len=3000", "-len_control=1",
                                 "-rss_limit_mb=3072", "-print_final_stats=1",
                                 f"-artifact_prefix={path}/{name}-"], cwd=path,
                                env=environment(), stdout=out, stderr=subprocess.STDOUT).returncode
    with open(log, encoding="utf-8", errors="replace") as file:
        text = file.read()
    runs = re.search(r"stat::number_of_executed_units: (\d+)", text)
    cover = re.findall(r"cov: (\d+)", text)
    print(f": {runs.group(1) if runs else 'unknown'} inputs, coverage "
          f"{cover[-1] if cover else 'unknown'}", flush=True)
    if status == 0:
        part.passed += 1
        return
    print(text[-6000:])
    part.fail(f"{name} found something: see {log}")


def part_fuzz(part, args):
    path = os.path.join(TOP, "build-fuzz")
    if build.build("build-fuzz", targets=["fuzzers"]) != 0:
        return part.fail("build-fuzz/ does not build")
    subprocess.run([PYTHON, os.path.join(TOP, "tests/fuzz/seeds.py"),
                    os.path.join(path, "seeds")], check=True)
    targets = sorted(t for t in glob.glob(os.path.join(path, "tests/fuzz/fuzz_*"))
                     if os.access(t, os.X_OK) and os.path.isfile(t))
    for target in targets:
        fuzz_one(part, path, target, args.fuzz_seconds)
    if not targets:
        part.fail("no fuzz targets were built")
    return None


PARTS = {
    "unit": part_unit,
    "unit-asan": part_unit_asan,
    "threads": part_threads,
    "sim": part_sim,
    "conserve": part_conserve,
    "system": part_system,
    "system-asan": part_system_asan,
    "fuzz": part_fuzz,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=list(PARTS), help="this part alone")
    parser.add_argument("--fuzz-seconds", type=int, default=15, help="for each fuzz target")
    parser.add_argument("--sim-runs", type=int, default=2000, help="of the simulator")
    parser.add_argument("--conserve-frames", type=int, default=1000000, help="of conserve")
    args = parser.parse_args()
    parts = []
    for name in args.only or PARTS:
        part = Part(name)
        headline(name)
        start = time.monotonic()
        try:
            PARTS[name](part, args)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            part.fail(f"{type(error).__name__}: {error}")
        part.seconds = time.monotonic() - start
        parts.append(part)
    headline("summary")
    for part in parts:
        print(f"{part.name:12} {part.passed:5} passed {part.failed:4} failed {part.seconds:6.0f} s")
        for note in part.notes:
            print(f"{'':12} {note}")
    passed = sum(p.passed for p in parts)
    failed = sum(p.failed for p in parts)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main())
