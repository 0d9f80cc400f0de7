#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Configure and build one build folder: build.py DIR [--cc CC] [--prefix P] [-Doption=value ...]"""

import argparse
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MESON = "/usr/bin/meson"

# The build folders that the tests use, and how each is made.
VARIANTS = {
    "build": {},
    "build-clang": {"cc": "clang"},
    "build-asan": {"options": ["-Dchecks=true", "-Db_sanitize=address,undefined",
                               "-Db_lundef=false"]},
    # Each line as it is written: an optimizer merges them.
    "build-coverage": {"options": ["-Db_coverage=true", "-Doptimization=0"]},
    # gcc warns that it does not model fences; what they order are atomics, which are no data races.
    "build-tsan": {"options": ["-Db_sanitize=thread", "-Db_lundef=false", "-Dc_args=-Wno-tsan"]},
    "build-fuzz": {"cc": "clang", "options": ["-Dfuzz=true", "-Dchecks=true", "-Db_lundef=false",
                                              "-Db_sanitize=address,undefined",
                                              "-Dc_args=-fsanitize=fuzzer-no-link"]},
}

# What `make run` needs.
PROGRAMS = ["src/bin/weird", "src/bin/weir", "src/shim/libweir_shim.so",
            "src/shim/weir-launch"]


def build(folder, cc=None, options=(), targets=(), prefix=None):
    """0, or the exit status of what failed. Says what it does."""
    path = os.path.join(TOP, folder)
    env = dict(os.environ)
    variant = VARIANTS.get(folder, {})
    cc = cc or variant.get("cc")
    if cc:
        env["CC"] = cc
    options = list(variant.get("options", [])) + list(options)
    if prefix:
        options.append(f"-Dprefix={prefix}")
    if not os.path.exists(os.path.join(path, "build.ninja")):
        print(f"build: configuring {folder}/", flush=True)
        done = subprocess.run([MESON, "setup", path, TOP] + options, env=env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            print(done.stdout)
            return done.returncode
    elif prefix:
        subprocess.run([MESON, "configure", path, f"-Dprefix={prefix}"], check=True,
                       stdout=subprocess.DEVNULL)
    print(f"build: compiling {folder}/", flush=True)
    return subprocess.run(["ninja", "-C", path] + list(targets), env=env).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--cc")
    parser.add_argument("--prefix")
    parser.add_argument("--programs", action="store_true", help="only what a user runs, no tests")
    parser.add_argument("--target", action="append", default=[], help="only this")
    args, options = parser.parse_known_args()
    targets = args.target + (PROGRAMS if args.programs else [])
    return build(args.folder, args.cc, options, targets, args.prefix)


if __name__ == "__main__":
    sys.exit(main())
