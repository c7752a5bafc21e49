/* A group of lanes in one expression: what Swift's SIMD types would do one lane at a time.
 *
 * Where there is AVX a group has 64 bytes, elsewhere the 16 of one register: with more, loops would only
 * be longer. Lanes do not know of each other, so that this does not show in a result. */
#pragma once
#include <stdint.h>

#define RAVINE_LANES static inline __attribute__((always_inline))

#ifdef __AVX2__
#define RAVINE_WIDTH 16 /* floats of a group */
#define RAVINE_INDICES {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
#else
#define RAVINE_WIDTH 4
#define RAVINE_INDICES {0, 1, 2, 3}
#endif

#define RAVINE_VECTOR(type, lanes) typedef type __attribute__((ext_vector_type(lanes)))
RAVINE_VECTOR(float, RAVINE_WIDTH) ravine_f32;
RAVINE_VECTOR(uint8_t, RAVINE_WIDTH) ravine_u8;
RAVINE_VECTOR(uint16_t, RAVINE_WIDTH) ravine_u16;
RAVINE_VECTOR(uint32_t, RAVINE_WIDTH) ravine_u32;
RAVINE_VECTOR(int32_t, RAVINE_WIDTH) ravine_i32;
RAVINE_VECTOR(uint64_t, RAVINE_WIDTH) ravine_u64;
RAVINE_VECTOR(double, RAVINE_WIDTH) ravine_wide;      /* floats, widened: two groups of doubles */
RAVINE_VECTOR(double, RAVINE_WIDTH / 2) ravine_f64;   /* a group of doubles */
RAVINE_VECTOR(int64_t, RAVINE_WIDTH / 2) ravine_i64;
RAVINE_VECTOR(float, RAVINE_WIDTH / 2) ravine_half;   /* floats that fill one, widened */

#define RAVINE_ARITHMETIC(type, lanes, suffix)                                                    \
  RAVINE_LANES lanes ravine_splat_##suffix(type x) { return (lanes)x; }                           \
  RAVINE_LANES lanes ravine_add_##suffix(lanes a, lanes b) { return a + b; }                      \
  RAVINE_LANES lanes ravine_subtract_##suffix(lanes a, lanes b) { return a - b; }                 \
  RAVINE_LANES lanes ravine_multiply_##suffix(lanes a, lanes b) { return a * b; }                 \
  RAVINE_LANES lanes ravine_divide_##suffix(lanes a, lanes b) { return a / b; }
RAVINE_ARITHMETIC(float, ravine_f32, f32)
RAVINE_ARITHMETIC(double, ravine_f64, f64)

RAVINE_LANES ravine_f32 ravine_sqrt_f32(ravine_f32 x) { return __builtin_elementwise_sqrt(x); }
RAVINE_LANES ravine_f64 ravine_sqrt_f64(ravine_f64 x) { return __builtin_elementwise_sqrt(x); }
RAVINE_LANES ravine_f64 ravine_magnitude(ravine_f64 x) { return __builtin_elementwise_abs(x); }
/* x where a > b (or a == b), y elsewhere; a NaN is neither. */
RAVINE_LANES ravine_f32 ravine_greater_f32(ravine_f32 a, ravine_f32 b, ravine_f32 x, ravine_f32 y) {
  return a > b ? x : y;
}
RAVINE_LANES ravine_f64 ravine_greater_f64(ravine_f64 a, ravine_f64 b, ravine_f64 x, ravine_f64 y) {
  return a > b ? x : y;
}
RAVINE_LANES ravine_f32 ravine_equal_f32(ravine_f32 a, ravine_f32 b, ravine_f32 x, ravine_f32 y) {
  return a == b ? x : y;
}
RAVINE_LANES ravine_f64 ravine_equal_f64(ravine_f64 a, ravine_f64 b, ravine_f64 x, ravine_f64 y) {
  return a == b ? x : y;
}
/* Whether a == b in any lane. */
RAVINE_LANES int ravine_any_equal_f32(ravine_f32 a, ravine_f32 b) {
  return __builtin_reduce_or(a == b) != 0;
}
RAVINE_LANES int ravine_any_equal_f64(ravine_f64 a, ravine_f64 b) {
  return __builtin_reduce_or(a == b) != 0;
}
/* All ones in the first `valid` lanes, which may be more or less than there are. */
RAVINE_LANES ravine_i32 ravine_first_lanes(intptr_t valid) {
  const ravine_i32 lane = RAVINE_INDICES;
  return lane < (int32_t)valid;
}
RAVINE_LANES ravine_i64 ravine_first_wide(intptr_t valid) {
#ifdef __AVX2__
  const ravine_i64 lane = {0, 1, 2, 3, 4, 5, 6, 7};
  return lane < (int64_t)valid;
#else
  const ravine_i32 lane = {0, 0, 1, 1}; /* SSE2 compares no more than 32 bits */
  return (ravine_i64)(lane < (int32_t)valid);
#endif
}
/* Whether nothing is to be masked. That is seldom asked where AVX makes masks for nothing. */
#ifdef __AVX2__
#define RAVINE_ALL(valid, width) 0
#else
#define RAVINE_ALL(valid, width) __builtin_expect((valid) >= (width), 1)
#endif
/* The first `valid` lanes; 0 in place of the rest. */
RAVINE_LANES ravine_f32 ravine_first_f32(ravine_f32 x, intptr_t valid) {
  if (RAVINE_ALL(valid, RAVINE_WIDTH)) return x;
  return (ravine_f32)((ravine_i32)x & ravine_first_lanes(valid));
}
RAVINE_LANES ravine_f64 ravine_first_f64(ravine_f64 x, intptr_t valid) {
  if (RAVINE_ALL(valid, RAVINE_WIDTH / 2)) return x;
  return (ravine_f64)((ravine_i64)x & ravine_first_wide(valid));
}
/* The first `valid` lanes of x, and the rest of y. */
RAVINE_LANES ravine_f32 ravine_splice_f32(ravine_f32 x, ravine_f32 y, intptr_t valid) {
  return ravine_first_lanes(valid) ? x : y;
}
RAVINE_LANES ravine_f64 ravine_splice_f64(ravine_f64 x, ravine_f64 y, intptr_t valid) {
  return ravine_first_wide(valid) ? x : y;
}
/* The magnitudes, and the greater of each pair of those; a NaN is greater than all. */
RAVINE_LANES ravine_f32 ravine_magnitude_f32(ravine_f32 x) { return __builtin_elementwise_abs(x); }
RAVINE_LANES ravine_f32 ravine_larger_f32(ravine_f32 a, ravine_f32 b) {
  return (ravine_f32)__builtin_elementwise_max((ravine_i32)a, (ravine_i32)b);
}
RAVINE_LANES ravine_f64 ravine_larger_f64(ravine_f64 a, ravine_f64 b) {
  return (ravine_f64)__builtin_elementwise_max((ravine_i64)a, (ravine_i64)b);
}
RAVINE_LANES ravine_f64 ravine_widen_half(ravine_half x) {
  return __builtin_convertvector(x, ravine_f64);
}
RAVINE_LANES ravine_wide ravine_widen(ravine_f32 x) {
  return __builtin_convertvector(x, ravine_wide);
}
/* sum + x x, where x is a widened float: its square is exact, so that one rounding less is none. */
RAVINE_LANES ravine_f64 ravine_add_square(ravine_f64 sum, ravine_f64 x) {
#ifdef __AVX2__
  return __builtin_elementwise_fma(x, x, sum);
#else
  return sum + x * x;
#endif
}
RAVINE_LANES ravine_f32 ravine_narrow(ravine_wide x) {
  return __builtin_convertvector(x, ravine_f32);
}

/* bfloat16: the upper half of a float; rounded to nearest even; a NaN stays a (quiet) NaN. */
RAVINE_LANES ravine_f32 ravine_from_bf16(ravine_u16 x) {
  ravine_u32 bits = __builtin_convertvector(x, ravine_u32) << 16;
  return (ravine_f32)bits;
}
RAVINE_LANES ravine_u16 ravine_to_bf16(ravine_f32 x) {
  ravine_u32 bits = (ravine_u32)x;
  ravine_u32 rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  ravine_u32 nan = (ravine_u32)(x != x);
  ravine_u32 result = (rounded & ~nan) | (((bits >> 16) | 0x40u) & nan);
  return __builtin_convertvector(result, ravine_u16);
}

#if defined(__F16C__) || defined(__aarch64__)
RAVINE_VECTOR(_Float16, RAVINE_WIDTH) ravine_f16;
RAVINE_LANES ravine_f32 ravine_from_f16(ravine_u16 x) {
  return __builtin_convertvector((ravine_f16)x, ravine_f32);
}
RAVINE_LANES ravine_u16 ravine_to_f16(ravine_f32 x) {
  return (ravine_u16)__builtin_convertvector(x, ravine_f16);
}
#else
/* Without F16C a conversion would be a call for each lane, so it goes by integers. */
RAVINE_LANES ravine_f32 ravine_from_f16(ravine_u16 x) {
  ravine_u32 h = __builtin_convertvector(x, ravine_u32);
  ravine_u32 sign = (h & 0x8000u) << 16, rest = (h & 0x7fffu) << 13;
  /* Exponent and mantissa in place; the multiplication by 2^112 rebases the exponent, and makes
   * subnormals normal. Infinity and NaN get the full exponent afterwards. */
  ravine_f32 scaled = (ravine_f32)rest * 0x1p112f;
  ravine_u32 special = (ravine_u32)(rest >= (0x7c00u << 13));
  return (ravine_f32)(sign | (ravine_u32)scaled | (special & 0x7f800000u));
}
RAVINE_LANES ravine_u16 ravine_to_f16(ravine_f32 x) {
  ravine_u32 bits = (ravine_u32)x, sign = (bits >> 16) & 0x8000u, a = bits & 0x7fffffffu;
  /* Normal: rebase the exponent, round half to even by adding below the cut. */
  ravine_u32 normal = (a + 0xc8000fffu + ((a >> 13) & 1u)) >> 13;
  /* Subnormal (below 2^-14): adding 0.5 puts the 24-bit grid of a float at 2^-24, so that the
   * addition itself rounds. */
  ravine_u32 tiny = (ravine_u32)((ravine_f32)a + 0.5f) - 0x3f000000u;
  ravine_u32 small = (ravine_u32)(a < 0x38800000u);
  ravine_u32 large = (ravine_u32)(a >= 0x477ff000u), nan = (ravine_u32)(a > 0x7f800000u);
  ravine_u32 r = (tiny & small) | (normal & ~small);
  r = (r & ~large) | (0x7c00u & large & ~nan) | (0x7e00u & nan);
  return __builtin_convertvector(r | sign, ravine_u16);
}
#endif

/* Down to a number of which the last `dropped` bits (16 of bfloat16, 13 of half precision) are 0, or up
 * with the probability of what is cut off: `random` is 16 bits of which each value is as likely. Below
 * `least`, as bits, the grid is that of 2^-24; from `most` on nothing is cut off. */
RAVINE_LANES ravine_f32 ravine_dither(ravine_f32 x, ravine_u16 random, uint32_t dropped,
                                      uint32_t least, uint32_t most) {
  ravine_u32 bits = (ravine_u32)x, a = bits & 0x7fffffffu;
  ravine_u32 r = __builtin_convertvector(random, ravine_u32);
  ravine_u32 normal = (bits + (r >> (16 - dropped))) & (0xffffffffu << dropped);
  ravine_f32 small = a < least ? (ravine_f32)a * 0x1p40f : (ravine_f32)0;
  ravine_i32 tiny = (__builtin_convertvector(small, ravine_i32) + (ravine_i32)r) >> 16;
  ravine_f32 grid = __builtin_convertvector(tiny, ravine_f32) * 0x1p-24f;
  ravine_u32 result = a < least ? (ravine_u32)grid | (bits ^ a) : normal;
  return a < most ? (ravine_f32)result : x;
}
/* The lower halves of so many words. */
RAVINE_LANES void ravine_set_words(ravine_u32 x, uint16_t *out) {
  typedef ravine_u16 unaligned __attribute__((aligned(2)));
  *(unaligned *)out = __builtin_convertvector(x, ravine_u16);
}
/* Philox4x32-10 (see Philox.swift) at the counters low to low + 15, of which low is the first of
 * sixteen, and high: eight times sixteen lanes of 16 bits, the lower halves of the four words first. */
RAVINE_LANES void ravine_draw(uint64_t key, uint64_t low, uint64_t high, uint16_t *out) {
#pragma clang loop unroll(disable)
  for (uint32_t j = 0; j < 16; j += RAVINE_WIDTH) {
    const ravine_u32 lane = RAVINE_INDICES;
    ravine_u32 c0 = (uint32_t)low + j + lane, c1 = (ravine_u32)(uint32_t)(low >> 32);
    ravine_u32 c2 = (ravine_u32)(uint32_t)high, c3 = (ravine_u32)(uint32_t)(high >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int i = 0; i < 10; i++) {
      ravine_u64 p0 = __builtin_convertvector(c0, ravine_u64) * 0xd2511f53u;
      ravine_u64 p1 = __builtin_convertvector(c2, ravine_u64) * 0xcd9e8d57u;
      c0 = __builtin_convertvector(p1 >> 32, ravine_u32) ^ c1 ^ k0;
      c2 = __builtin_convertvector(p0 >> 32, ravine_u32) ^ c3 ^ k1;
      c1 = __builtin_convertvector(p1, ravine_u32);
      c3 = __builtin_convertvector(p0, ravine_u32);
      k0 += 0x9e3779b9u;
      k1 += 0xbb67ae85u;
    }
    ravine_set_words(c0, out + j);
    ravine_set_words(c1, out + j + 16);
    ravine_set_words(c2, out + j + 32);
    ravine_set_words(c3, out + j + 48);
    ravine_set_words(c0 >> 16, out + j + 64);
    ravine_set_words(c1 >> 16, out + j + 80);
    ravine_set_words(c2 >> 16, out + j + 96);
    ravine_set_words(c3 >> 16, out + j + 112);
  }
}
/* Eight bits: entries of a table; whole numbers as bytes; a whole number cut off. */
RAVINE_LANES ravine_f32 ravine_look_up(const float *map, const uint8_t *code) {
  ravine_f32 x;
  for (int i = 0; i < RAVINE_WIDTH; i++) x[i] = map[code[i]];
  return x;
}
RAVINE_LANES void ravine_to_bytes(ravine_f32 x, uint8_t *out) {
  typedef ravine_u8 unaligned __attribute__((aligned(1)));
  *(unaligned *)out = __builtin_convertvector(__builtin_convertvector(x, ravine_i32), ravine_u8);
}
RAVINE_LANES ravine_f32 ravine_whole(ravine_f32 x) {
  return __builtin_convertvector(__builtin_convertvector(x, ravine_i32), ravine_f32);
}
/* Each lane's entries of two tables: those of the last of six bounds that it is above; n and slope come
 * with what holds below all of them. Not unrolled, which would be large. */
RAVINE_LANES void ravine_find(ravine_f32 x, const float *bounds, const float *counts,
                              const float *slopes, void *count, void *slope) {
  ravine_f32 *n = (ravine_f32 *)count, *s = (ravine_f32 *)slope;
#pragma clang loop unroll(disable)
  for (int i = 0; i < 6; i++) {
    *n = x > bounds[i] ? (ravine_f32)counts[i] : *n;
    *s = x > bounds[i] ? (ravine_f32)slopes[i] : *s;
  }
}
/* The larger magnitudes, as bits: a NaN is larger than infinity, and that than all numbers. */
RAVINE_LANES ravine_u32 ravine_larger(ravine_u32 a, ravine_f32 x) {
  ravine_u32 b = (ravine_u32)x & 0x7fffffffu;
  return a > b ? a : b;
}

/* x, of which the compiler knows nothing: it does not unroll a loop of that many rounds. */
RAVINE_LANES intptr_t ravine_unknown(intptr_t x) {
  __asm__("" : "+r"(x));
  return x;
}
RAVINE_LANES void ravine_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }
