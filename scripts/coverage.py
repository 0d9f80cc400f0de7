#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Which lines do the tests run? Builds build-coverage/ (gcc --coverage), runs the unit tests, the
TCP scripts and a part of the simulator's short set, and prints the share of lines, a row a folder.
coverage.py [--missing FOLDER] [--keep]

Fails where src/inet/tcp has less than its share. System tests are not counted: what only they run
(most of src/shim and src/bin) shows as not run here.
"""

import argparse
import glob
import json
import os
import subprocess
import sys

import build

TOP = build.TOP
FOLDER = "build-coverage"
PATH = os.path.join(TOP, FOLDER)
LEAST = {"src/inet/tcp": 90.0}
SIM_RUNS = "200"


def rows():
    """Folders of src/, as the table has them."""
    return ["src/wire", "src/core", "src/dev", "src/inet", "src/inet/tcp", "src/sock", "src/obs",
            "src/engine", "src/bin", "src/shim"]


def forget():
    for path in glob.glob(os.path.join(PATH, "**", "*.gcda"), recursive=True):
        os.unlink(path)


def run_tests():
    """0, or what failed."""
    command = [build.MESON, "test", "-C", PATH, "--no-rebuild", "--num-processes", "2",
               "--timeout-multiplier", "8", "--suite", "unit", "--quiet", "--print-errorlogs"]
    status = subprocess.run(command, cwd=TOP).returncode
    sim = os.path.join(PATH, "tests", "sim", "sim")
    if os.path.exists(sim):
        status |= subprocess.run([sim, "--runs", SIM_RUNS], cwd=TOP).returncode
    return status


def gcov(data):
    """What gcov tells of one object, or nothing where it was never run."""
    done = subprocess.run(["gcov", "--json-format", "--stdout", data], cwd=PATH,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def lines_of_objects():
    """{file: {line: how often}}, of our sources; a header's lines are summed over its users."""
    files = {}
    # Objects that no test links have only the notes: their lines count as not run.
    for notes in glob.glob(os.path.join(PATH, "src", "**", "*.gcno"), recursive=True):
        data = notes[:-len(".gcno")] + ".gcda"
        for report in gcov(data if os.path.exists(data) else notes):
            for entry in report["files"]:
                path = os.path.relpath(os.path.join(PATH, entry["file"]), TOP)
                if not path.startswith("src/"):
                    continue
                lines = files.setdefault(path, {})
                for line in entry["lines"]:
                    number = line["line_number"]
                    lines[number] = lines.get(number, 0) + line["count"]
    return files


def folder_of(path):
    best = [row for row in rows() if path.startswith(row + "/")]
    return max(best, key=len) if best else None


def table(files):
    """{folder: (run, all)}"""
    sums = {row: [0, 0] for row in rows()}
    for path, lines in files.items():
        row = folder_of(path)
        if row:
            sums[row][0] += sum(1 for count in lines.values() if count)
            sums[row][1] += len(lines)
    return sums


def show_missing(files, folder):
    for path in sorted(files):
        if folder_of(path) != folder:
            continue
        lines = files[path]
        missing = sorted(number for number, count in lines.items() if not count)
        if missing:
            share = 100.0 * (len(lines) - len(missing)) / len(lines)
            print(f"{path} {share:.1f} %: lines {' '.join(map(str, missing))}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--missing", metavar="FOLDER", help="also name the lines not run")
    parser.add_argument("--keep", action="store_true", help="no new run: what the last one left")
    args = parser.parse_args()
    status = 0
    if not args.keep:
        status = build.build(FOLDER)
        if status:
            return status
        forget()
        status = run_tests()
    files = lines_of_objects()
    if args.missing:
        show_missing(files, args.missing.rstrip("/"))
    print(f"\n{'folder':<16}{'lines':>8}{'run':>8}{'share':>9}")
    for row, (run, total) in table(files).items():
        share = 100.0 * run / total if total else 0.0
        least = LEAST.get(row)
        note = ""
        if least is not None and share < least:
            note = f"   less than {least:.0f} %"
            status = 1
        print(f"{row:<16}{total:>8}{run:>8}{share:>8.1f}%{note}")
    if status:
        print("coverage: a test failed, or a folder has less than its share")
    return status


if __name__ == "__main__":
    sys.exit(main())
