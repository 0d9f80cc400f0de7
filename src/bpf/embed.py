#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""embed.py FILE C_FILE NAME: write FILE as a C file: the bytes NAME, and NAME_bytes, how many."""

import sys


def main():
    with open(sys.argv[1], "rb") as source:
        data = source.read()
    name = sys.argv[3]
    rows = [", ".join(map(str, data[at:at + 24])) for at in range(0, len(data), 24)]
    with open(sys.argv[2], "w", encoding="ascii") as out:
        out.write("#include <stddef.h>\n"
                  f"extern const unsigned char {name}[];\nextern const size_t {name}_bytes;\n"
                  f"const unsigned char {name}[] __attribute__((aligned(8))) = {{\n"
                  + ",\n".join(rows) + f" }};\nconst size_t {name}_bytes = {len(data)};\n")


if __name__ == "__main__":
    main()
