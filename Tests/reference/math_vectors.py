"""Reference values for the functions in Sources/Kernels/Math.swift, made with mpmath.

    python math_vectors.py > ../RavineTests/Vectors/math.json

Every entry is "argument result" (for pow "base exponent result"): the bits of Doubles in hex. The
results are correctly rounded, half to even, from 1400 bits.
"""
import json
import math
import random
import struct
import sys

from mpmath import mp, mpf

mp.prec = 1400  # enough for sin(2^1023), which cancels some 1100 bits
pick = random.Random(20240601)
LOG_MAX, LOG_MIN = math.log(1.7976931348623157e308), -745.1332191019411


def bits(x):
    return "%016x" % struct.unpack("<Q", struct.pack("<d", x))[0]


def neighbour(x, steps):
    """The Double `steps` places further up (x > 0)."""
    whole = struct.unpack("<q", struct.pack("<d", x))[0] + steps
    return struct.unpack("<d", struct.pack("<q", whole))[0]


def nearest(v):
    """The Double nearest to an mpf, rounded once even where it is subnormal."""
    sign, man, exp, length = v._mpf_
    if man == 0:
        return 0.0
    unit = max(exp + length - 53, -1074)
    if unit > exp:
        half = 1 << (unit - exp - 1)
        man, rest = man >> (unit - exp), man & (2 * half - 1)
        man += rest > half or (rest == half and man & 1)
        exp = unit
    size = math.inf if int(man).bit_length() + exp > 1024 else math.ldexp(int(man), exp)
    return -size if sign else size


def spread(low, high, count, signed=True):
    """Random mantissas, exponents evenly from low up to high."""
    for _ in range(count):
        x = math.ldexp(1 + pick.random(), pick.randrange(low, high))
        yield -x if signed and pick.random() < 0.5 else x


def near_quarter_turns(count):
    """The Doubles closest to a multiple of pi/2: denominators of the continued fractions of
    2^e 2/pi, the closest over all e first (the record is 6381956970095103 * 2^797)."""
    found = []
    for e in range(-50, 971):
        rest = mpf(2) ** e * 2 / mp.pi
        p, last_p, q, last_q = 1, 0, 0, 1
        while True:
            whole = int(mp.floor(rest))
            p, last_p, q, last_q = whole * p + last_p, p, whole * q + last_q, q
            if q >= 2**53:
                break
            rest = 1 / (rest - whole)
        if last_q * 2.0**e > 0.8:
            distance = abs(last_q * mpf(2) ** e - last_p * mp.pi / 2)
            found.append((distance, math.ldexp(last_q, e)))
    return [x for _, x in sorted(found)[:count]]


def one_argument(function, arguments):
    return [bits(x) + " " + bits(nearest(function(mpf(x)))) for x in arguments]


def angles():
    quarter = math.pi / 2
    yield from spread(-30, 3, 120)
    yield from spread(3, 31, 120)
    yield from spread(31, 1024, 100)
    yield from near_quarter_turns(60)
    for k in [1, 2, 3, 4, 5, 6, 7, 8, 100, 12345, 10**6, 10**9, 10**15]:
        for steps in (-1, 0, 1):
            yield neighbour(float(k * mp.pi / 2), steps)
    for steps in (-2, -1, 0, 1, 2):
        yield neighbour(quarter / 2, steps)  # where the reduction begins


def exponents():
    yield from spread(-60, 9, 250)
    yield from (pick.uniform(-1, 1) for _ in range(80))
    yield from (pick.uniform(LOG_MAX - 1, LOG_MAX) for _ in range(30))
    yield from (pick.uniform(LOG_MIN, -708) for _ in range(60))  # subnormal results
    for edge in (LOG_MAX, -LOG_MIN, 708.3964185322641):
        for steps in range(-3, 4):
            yield neighbour(edge, steps)
            yield -neighbour(edge, steps)


def positives():
    yield from spread(-1022, 1024, 200, signed=False)
    yield from (math.ldexp(pick.getrandbits(52) | 1, -1074) for _ in range(30))  # subnormal
    yield from (1 + x for x in spread(-52, -1, 150))
    for edge in (1.0, math.sqrt(0.5), math.sqrt(2), 2.0, math.e):
        for steps in range(-3, 4):
            yield neighbour(edge, steps)


def tangents():
    yield from spread(-40, 5, 300)
    yield from (pick.uniform(-1, 1) for _ in range(100))
    for edge in (2.0**-28, 20.0, 19.06154746539849):
        for steps in (-1, 0, 1):
            yield neighbour(edge, steps)


def powers():
    for x, y in zip(spread(-20, 20, 150, signed=False), spread(-6, 6, 150)):
        yield x, y
    for x in spread(-1022, 1024, 100, signed=False):  # results over the whole range
        yield x, pick.uniform(LOG_MIN, LOG_MAX) / math.log(x)
    for d in spread(-52, -2, 100):  # near 1
        yield 1 + d, pick.uniform(LOG_MIN, LOG_MAX) / math.log1p(d)
    for x in spread(-1022, 1024, 60, signed=False):  # subnormal results
        yield x, pick.uniform(LOG_MIN, -708.4) / math.log(x)
    for x in spread(-1022, 1024, 30, signed=False):  # about to overflow
        yield x, LOG_MAX / math.log(x)
    for _ in range(60):  # negative bases
        yield -3 * pick.random(), float(pick.randrange(-100, 100))
    for beta in (0.9, 0.95, 0.98, 0.99, 0.999, 0.9999):  # bias correction
        for step in (1, 2, 3, 10, 100, 1000, 54321, 10**6):
            yield beta, float(step)


def power(x, y):
    value = mp.power(abs(mpf(x)), mpf(y))
    return -value if x < 0 and y % 2 == 1 else value


json.dump({
    "exp": one_argument(mp.exp, exponents()),
    "log": one_argument(mp.log, positives()),
    "sin": one_argument(mp.sin, angles()),
    "cos": one_argument(mp.cos, angles()),
    "tanh": one_argument(mp.tanh, tangents()),
    "pow": [f"{bits(x)} {bits(y)} {bits(nearest(power(x, y)))}" for x, y in powers()],
}, sys.stdout, indent=0)
print()
