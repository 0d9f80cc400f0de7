#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The rules of the house, checked. Prints one line for each finding; fails on errors.

Errors: an include that points upward between folders; a header that does not compile alone; a
packet freed outside the ledger; a reason for TCP to drop that no test names; a function over 100
lines; a line over 100 columns; no SPDX line; words that mark unfinished work. Warnings: a file over
600 lines; files that clang-format would change.
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# DESIGN.md, "The house": a folder may use only folders with a smaller number.
RANK = {"wire": 0, "bpf": 0, "core": 1, "dev": 2, "inet": 3, "ofswitch": 3, "sock": 4, "obs": 4,
        "netlink": 5, "procnet": 5, "engine": 6, "bin": 7}
MAX_FUNCTION = 100
MAX_FILE = 600
MAX_COLUMNS = 100
TAB = 8
FLAGS = ["-D_GNU_SOURCE", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter",
         "-march=x86-64-v2", "-Isrc", "-Iinclude", "-Itests/unit", "-fsyntax-only", "-x", "c"]
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX)\b|not imple" r"mented", re.IGNORECASE)
CODE = (".c", ".h", ".def")
TEXT = CODE + (".py", ".sh", ".build")


class Findings:
    def __init__(self):
        self.errors = 0
        self.warnings = 0

    def error(self, path, line, text):
        self.errors += 1
        print(f"{path}:{line}: {text}")

    def warn(self, path, line, text):
        self.warnings += 1
        print(f"{path}:{line}: warning: {text}")


def files_of(*roots):
    for root in roots:
        for folder, folders, names in os.walk(os.path.join(TOP, root)):
            folders[:] = sorted(f for f in folders if not f.startswith((".", "__", "build")))
            for name in sorted(names):
                yield os.path.relpath(os.path.join(folder, name), TOP)


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def without_comments(text):
    """Comments and strings blanked, line numbers kept."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.DOTALL)


def check_includes(found, path, text):
    parts = path.split(os.sep)
    if parts[0] != "src" or len(parts) < 3:
        return
    own = parts[1]
    for number, line in enumerate(text.split("\n"), 1):
        match = re.match(r'\s*#\s*include\s+"([^"/]+)/', line)
        if not match:
            continue
        other = match.group(1)
        if other == own:
            continue
        if own == "shim":
            if other != "wire":
                found.error(path, number, f"shim/ may include only wire/, not {other}/")
        elif other not in RANK:
            found.error(path, number, f"{own}/ includes {other}/, which is no folder of the house")
        elif own in RANK and RANK[other] >= RANK[own]:
            found.error(path, number, f"upward include: {own}/ ({RANK[own]}) uses {other}/ "
                        f"({RANK[other]})")


def check_frees(found, path, code):
    if not path.startswith("src/") or path.startswith("src/core/"):
        return
    for number, line in enumerate(code.split("\n"), 1):
        if re.search(r"\brte_pktmbuf_free(_bulk|_seg)?\b", line):
            found.error(path, number, "a packet freed outside the ledger: use pkt_drop(), "
                        "pkt_consume() or pkt_sent()")


def check_reasons(found):
    """Each reason for which TCP drops is provoked by a script or a unit test."""
    tests = "".join(read(p) for p in files_of("tests/pkt/scripts", "tests/unit")
                    if p.endswith((".pkt", ".c")))
    named = set(re.findall(r"(?:^drop |DROP_|drops_of\(\w+, )(TCP_\w+)", tests, re.MULTILINE))
    path = "src/core/drop.def"
    for number, line in enumerate(read(path).split("\n"), 1):
        reason = re.match(r"DROP\((TCP_\w+),", line)
        if reason and reason.group(1) not in named:
            found.error(path, number, f"no test provokes {reason.group(1)}")


def check_functions(found, path, code):
    lines = code.split("\n")
    start = None
    for number, line in enumerate(lines, 1):
        if line.rstrip() == "{":
            start = number
        elif line.startswith("}") and start:
            length = number - start - 1
            if length > MAX_FUNCTION:
                found.error(path, start, f"a function of {length} lines (at most {MAX_FUNCTION})")
            start = None


def check_text(found, path, text):
    lines = text.split("\n")
    if "SPDX-License-Identifier: BSD-3-Clause" not in "\n".join(lines[:3]):
        found.error(path, 1, "no SPDX-License-Identifier line at the top")
    for number, line in enumerate(lines, 1):
        width = len(line.expandtabs(TAB))
        if width > MAX_COLUMNS:
            found.error(path, number, f"{width} columns (at most {MAX_COLUMNS})")
        if line != line.rstrip():
            found.error(path, number, "white space at the end of the line")
        match = UNFINISHED.search(line)
        if match:
            found.error(path, number, f"unfinished work: {match.group(0)}")
    if len(lines) > MAX_FILE:
        found.warn(path, 1, f"{len(lines)} lines (a file should have at most {MAX_FILE})")


def compile_alone(header, flags):
    source = f'#include "{os.path.join(TOP, header)}"\n'
    done = subprocess.run(["gcc"] + FLAGS + flags + ["-"], input=source, text=True, cwd=TOP,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return header, done.returncode, done.stdout


def check_headers(found, headers):
    done = subprocess.run(["pkg-config", "--cflags", "libdpdk", "jansson", "inih", "libpcap"],
                          text=True, stdout=subprocess.PIPE)
    if done.returncode != 0:
        found.error("scripts/lint.py", 1, "pkg-config does not know DPDK: run sudo make deps")
        return
    flags = []
    for flag in done.stdout.split():
        flags += ["-isystem", flag[2:]] if flag.startswith("-I") else [flag]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for header, status, out in pool.map(lambda h: compile_alone(h, flags), headers):
            if status != 0:
                first = next((l for l in out.split("\n") if "error" in l), out[:200])
                found.error(header, 1, f"does not compile alone: {first}")


def check_format(found, paths):
    if not shutil.which("clang-format"):
        print("lint: clang-format is not there: formatting was not looked at")
        return
    done = subprocess.run(["clang-format", "--dry-run", "--style=file"] + paths, cwd=TOP, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    changed = {line.split(":")[0] for line in done.stderr.split("\n") if "warning:" in line}
    if changed:
        print(f"lint: warning: clang-format would change {len(changed)} of {len(paths)} files")


def main():
    found = Findings()
    code_paths = [p for p in files_of("src", "include", "tests") if p.endswith(CODE)]
    for path in code_paths:
        text = read(path)
        code = without_comments(text)
        check_includes(found, path, text)
        check_frees(found, path, code)
        check_functions(found, path, code)
    for path in files_of("src", "include", "tests", "scripts", ".ci"):
        if path.endswith(TEXT):
            check_text(found, path, read(path))
    for path in ("Makefile", "meson.build"):
        check_text(found, path, read(path))
    check_reasons(found)
    check_headers(found, [p for p in code_paths
                          if p.endswith(".h") and p.startswith(("src/", "include/"))])
    check_format(found, [p for p in code_paths if not p.endswith(".def")])
    print(f"lint: {len(code_paths)} files, {found.errors} errors, {found.warnings} warnings")
    return 1 if found.errors else 0


if __name__ == "__main__":
    sys.exit(main())
