"""The tables behind Math.exp, Math.log and Math.pow, made with mpmath.

    python math_tables.py > ../../Sources/CShims/tables.c
"""
import struct

from mpmath import floor, log, mp, mpf, nint

mp.prec = 200
ROWS = 128
FIRST = 0x3FE68AAB00000000  # bits of the first m of the table of logarithms, as in Math.swift


def exponential(i):
    """2^(1 + i/128): the nearest Double, and what is missing, relative to it."""
    exact = mpf(2) ** (1 + mpf(i) / ROWS)
    power = float(exact)
    return [power, float(exact / power - 1)]


def logarithm(i):
    """For the i-th interval of m: 1/m to 11 places, and -log of that, the first 42 places apart."""
    low, high = (struct.unpack("<d", struct.pack("<Q", FIRST + (n << 45)))[0] for n in (i, i + 1))
    inverse = nint(4096 / (mpf(low) + mpf(high))) / 2048
    if low < 1 < high:
        inverse = mpf(1)  # so that log keeps its accuracy near 1
    exact = -log(inverse)
    first = floor(exact * 2**42 + 0.5) / 2**42
    return [float(inverse), float(first), float(exact - first)]


def number(x):
    """As hexadecimal C, without the zeros at the end."""
    digits, power = x.hex().split("p")
    return digits.rstrip("0").rstrip(".") + "p" + power.lstrip("+")


def table(name, row):
    print(f"\nconst ravine_{name}_row ravine_{name}_table[{ROWS}] = {{")
    for i in range(ROWS):
        print("    {" + ", ".join(map(number, row(i))) + "},")
    print("};")


print("/* Written by Tests/reference/math_tables.py. */")
print('#include "tables.h"')
table("exp", exponential)
table("log", logarithm)
