/* Sixteen lanes in one expression: what Swift's SIMD types would do one lane at a time. */
#pragma once
#include <stdint.h>

#define RAVINE_LANES static inline __attribute__((always_inline))

typedef float ravine_f32x16 __attribute__((ext_vector_type(16)));
typedef float ravine_f32x8 __attribute__((ext_vector_type(8)));
typedef double ravine_f64x16 __attribute__((ext_vector_type(16)));
typedef double ravine_f64x8 __attribute__((ext_vector_type(8)));
typedef uint16_t ravine_u16x16 __attribute__((ext_vector_type(16)));
typedef uint8_t ravine_u8x16 __attribute__((ext_vector_type(16)));
typedef uint32_t ravine_u32x16 __attribute__((ext_vector_type(16)));
typedef uint64_t ravine_u64x16 __attribute__((ext_vector_type(16)));
typedef int32_t ravine_i32x16 __attribute__((ext_vector_type(16)));
typedef int64_t ravine_i64x8 __attribute__((ext_vector_type(8)));

#define RAVINE_ARITHMETIC(type, lanes, suffix)                                                    \
  RAVINE_LANES lanes ravine_splat_##suffix(type x) { return (lanes)x; }                           \
  RAVINE_LANES lanes ravine_add_##suffix(lanes a, lanes b) { return a + b; }                      \
  RAVINE_LANES lanes ravine_subtract_##suffix(lanes a, lanes b) { return a - b; }                 \
  RAVINE_LANES lanes ravine_multiply_##suffix(lanes a, lanes b) { return a * b; }                 \
  RAVINE_LANES lanes ravine_divide_##suffix(lanes a, lanes b) { return a / b; }
RAVINE_ARITHMETIC(float, ravine_f32x16, f32)
RAVINE_ARITHMETIC(double, ravine_f64x8, f64)

RAVINE_LANES ravine_f32x16 ravine_sqrt_f32(ravine_f32x16 x) { return __builtin_elementwise_sqrt(x); }
RAVINE_LANES ravine_f64x8 ravine_sqrt_f64(ravine_f64x8 x) { return __builtin_elementwise_sqrt(x); }
RAVINE_LANES ravine_f64x8 ravine_magnitude(ravine_f64x8 x) { return __builtin_elementwise_abs(x); }
/* x where a > b (or a == b), y elsewhere; a NaN is neither. */
RAVINE_LANES ravine_f32x16 ravine_greater_f32(ravine_f32x16 a, ravine_f32x16 b, ravine_f32x16 x,
                                              ravine_f32x16 y) {
  return a > b ? x : y;
}
RAVINE_LANES ravine_f64x8 ravine_greater_f64(ravine_f64x8 a, ravine_f64x8 b, ravine_f64x8 x,
                                             ravine_f64x8 y) {
  return a > b ? x : y;
}
RAVINE_LANES ravine_f32x16 ravine_equal_f32(ravine_f32x16 a, ravine_f32x16 b, ravine_f32x16 x,
                                            ravine_f32x16 y) {
  return a == b ? x : y;
}
RAVINE_LANES ravine_f64x8 ravine_equal_f64(ravine_f64x8 a, ravine_f64x8 b, ravine_f64x8 x,
                                           ravine_f64x8 y) {
  return a == b ? x : y;
}
/* The first `valid` lanes; 0 in place of the rest. */
RAVINE_LANES ravine_f32x16 ravine_first_f32(ravine_f32x16 x, intptr_t valid) {
  const ravine_i32x16 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return (ravine_f32x16)((ravine_i32x16)x & (lane < (int32_t)valid));
}
RAVINE_LANES ravine_f64x8 ravine_first_f64(ravine_f64x8 x, intptr_t valid) {
  const ravine_i64x8 lane = {0, 1, 2, 3, 4, 5, 6, 7};
  return (ravine_f64x8)((ravine_i64x8)x & (lane < (int64_t)valid));
}
/* The first `valid` lanes of x, and the rest of y. */
RAVINE_LANES ravine_f32x16 ravine_splice_f32(ravine_f32x16 x, ravine_f32x16 y, intptr_t valid) {
  const ravine_i32x16 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return lane < (int32_t)valid ? x : y;
}
RAVINE_LANES ravine_f64x8 ravine_splice_f64(ravine_f64x8 x, ravine_f64x8 y, intptr_t valid) {
  const ravine_i64x8 lane = {0, 1, 2, 3, 4, 5, 6, 7};
  return lane < (int64_t)valid ? x : y;
}
/* The magnitudes, and the greater of each pair of those; a NaN is greater than all. */
RAVINE_LANES ravine_f32x16 ravine_magnitude_f32(ravine_f32x16 x) { return __builtin_elementwise_abs(x); }
RAVINE_LANES ravine_f32x16 ravine_larger_f32(ravine_f32x16 a, ravine_f32x16 b) {
  return (ravine_f32x16)__builtin_elementwise_max((ravine_i32x16)a, (ravine_i32x16)b);
}
RAVINE_LANES ravine_f64x8 ravine_larger_f64(ravine_f64x8 a, ravine_f64x8 b) {
  return (ravine_f64x8)__builtin_elementwise_max((ravine_i64x8)a, (ravine_i64x8)b);
}
RAVINE_LANES ravine_f64x8 ravine_widen_half(ravine_f32x8 x) {
  return __builtin_convertvector(x, ravine_f64x8);
}
RAVINE_LANES ravine_f64x16 ravine_widen(ravine_f32x16 x) {
  return __builtin_convertvector(x, ravine_f64x16);
}
RAVINE_LANES ravine_f32x16 ravine_narrow(ravine_f64x16 x) {
  return __builtin_convertvector(x, ravine_f32x16);
}

/* bfloat16: the upper half of a float; rounded to nearest even; a NaN stays a (quiet) NaN. */
RAVINE_LANES ravine_f32x16 ravine_from_bf16(ravine_u16x16 x) {
  ravine_u32x16 bits = __builtin_convertvector(x, ravine_u32x16) << 16;
  return (ravine_f32x16)bits;
}
RAVINE_LANES ravine_u16x16 ravine_to_bf16(ravine_f32x16 x) {
  ravine_u32x16 bits = (ravine_u32x16)x;
  ravine_u32x16 rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  ravine_u32x16 nan = (ravine_u32x16)(x != x);
  ravine_u32x16 result = (rounded & ~nan) | (((bits >> 16) | 0x40u) & nan);
  return __builtin_convertvector(result, ravine_u16x16);
}

#if defined(__F16C__) || defined(__aarch64__)
typedef _Float16 ravine_f16x16 __attribute__((ext_vector_type(16)));
RAVINE_LANES ravine_f32x16 ravine_from_f16(ravine_u16x16 x) {
  return __builtin_convertvector((ravine_f16x16)x, ravine_f32x16);
}
RAVINE_LANES ravine_u16x16 ravine_to_f16(ravine_f32x16 x) {
  return (ravine_u16x16)__builtin_convertvector(x, ravine_f16x16);
}
#else
/* Without F16C a conversion would be a call for each lane, so it goes by integers. */
RAVINE_LANES ravine_f32x16 ravine_from_f16(ravine_u16x16 x) {
  ravine_u32x16 h = __builtin_convertvector(x, ravine_u32x16);
  ravine_u32x16 sign = (h & 0x8000u) << 16, rest = (h & 0x7fffu) << 13;
  /* Exponent and mantissa in place; the multiplication by 2^112 rebases the exponent, and makes
   * subnormals normal. Infinity and NaN get the full exponent afterwards. */
  ravine_f32x16 scaled = (ravine_f32x16)rest * 0x1p112f;
  ravine_u32x16 special = (ravine_u32x16)(rest >= (0x7c00u << 13));
  return (ravine_f32x16)(sign | (ravine_u32x16)scaled | (special & 0x7f800000u));
}
RAVINE_LANES ravine_u16x16 ravine_to_f16(ravine_f32x16 x) {
  ravine_u32x16 bits = (ravine_u32x16)x, sign = (bits >> 16) & 0x8000u, a = bits & 0x7fffffffu;
  /* Normal: rebase the exponent, round half to even by adding below the cut. */
  ravine_u32x16 normal = (a + 0xc8000fffu + ((a >> 13) & 1u)) >> 13;
  /* Subnormal (below 2^-14): adding 0.5 puts the 24-bit grid of a float at 2^-24, so that the
   * addition itself rounds. */
  ravine_u32x16 tiny = (ravine_u32x16)((ravine_f32x16)a + 0.5f) - 0x3f000000u;
  ravine_u32x16 small = (ravine_u32x16)(a < 0x38800000u);
  ravine_u32x16 large = (ravine_u32x16)(a >= 0x477ff000u), nan = (ravine_u32x16)(a > 0x7f800000u);
  ravine_u32x16 r = (tiny & small) | (normal & ~small);
  r = (r & ~large) | (0x7c00u & large & ~nan) | (0x7e00u & nan);
  return __builtin_convertvector(r | sign, ravine_u16x16);
}
#endif

/* Down to a number of which the last `dropped` bits (16 of bfloat16, 13 of half precision) are 0, or up
 * with the probability of what is cut off: `random` is 16 bits of which each value is as likely. Below
 * `least`, as bits, the grid is that of 2^-24; from `most` on nothing is cut off. */
RAVINE_LANES ravine_f32x16 ravine_dither(ravine_f32x16 x, ravine_u16x16 random, uint32_t dropped,
                                         uint32_t least, uint32_t most) {
  ravine_u32x16 bits = (ravine_u32x16)x, a = bits & 0x7fffffffu;
  ravine_u32x16 r = __builtin_convertvector(random, ravine_u32x16);
  ravine_u32x16 normal = (bits + (r >> (16 - dropped))) & (0xffffffffu << dropped);
  ravine_f32x16 small = a < least ? (ravine_f32x16)a * 0x1p40f : (ravine_f32x16)0;
  ravine_i32x16 tiny = (__builtin_convertvector(small, ravine_i32x16) + (ravine_i32x16)r) >> 16;
  ravine_f32x16 grid = __builtin_convertvector(tiny, ravine_f32x16) * 0x1p-24f;
  ravine_u32x16 result = a < least ? (ravine_u32x16)grid | (bits ^ a) : normal;
  return a < most ? (ravine_f32x16)result : x;
}
/* Philox4x32-10 (see Philox.swift) at the counters low to low + 15, of which low is the first of
 * sixteen, and high: eight times sixteen lanes of 16 bits, the lower halves of the four words first. */
RAVINE_LANES void ravine_draw(uint64_t key, uint64_t low, uint64_t high, uint16_t *out) {
  const ravine_u32x16 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  ravine_u32x16 c0 = (uint32_t)low + lane, c1 = (ravine_u32x16)(uint32_t)(low >> 32);
  ravine_u32x16 c2 = (ravine_u32x16)(uint32_t)high, c3 = (ravine_u32x16)(uint32_t)(high >> 32);
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int i = 0; i < 10; i++) {
    ravine_u64x16 p0 = __builtin_convertvector(c0, ravine_u64x16) * 0xd2511f53u;
    ravine_u64x16 p1 = __builtin_convertvector(c2, ravine_u64x16) * 0xcd9e8d57u;
    c0 = __builtin_convertvector(p1 >> 32, ravine_u32x16) ^ c1 ^ k0;
    c2 = __builtin_convertvector(p0 >> 32, ravine_u32x16) ^ c3 ^ k1;
    c1 = __builtin_convertvector(p1, ravine_u32x16);
    c3 = __builtin_convertvector(p0, ravine_u32x16);
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  typedef ravine_u16x16 unaligned __attribute__((aligned(2)));
  unaligned *words = (unaligned *)out;
  words[0] = __builtin_convertvector(c0, ravine_u16x16);
  words[1] = __builtin_convertvector(c1, ravine_u16x16);
  words[2] = __builtin_convertvector(c2, ravine_u16x16);
  words[3] = __builtin_convertvector(c3, ravine_u16x16);
  words[4] = __builtin_convertvector(c0 >> 16, ravine_u16x16);
  words[5] = __builtin_convertvector(c1 >> 16, ravine_u16x16);
  words[6] = __builtin_convertvector(c2 >> 16, ravine_u16x16);
  words[7] = __builtin_convertvector(c3 >> 16, ravine_u16x16);
}
/* Eight bits: sixteen entries of a table; sixteen whole numbers as bytes; a whole number cut off. */
RAVINE_LANES ravine_f32x16 ravine_look_up(const float *map, const uint8_t *code) {
  ravine_f32x16 x;
  for (int i = 0; i < 16; i++) x[i] = map[code[i]];
  return x;
}
RAVINE_LANES void ravine_to_bytes(ravine_f32x16 x, uint8_t *out) {
  typedef ravine_u8x16 unaligned __attribute__((aligned(1)));
  *(unaligned *)out = __builtin_convertvector(__builtin_convertvector(x, ravine_i32x16), ravine_u8x16);
}
RAVINE_LANES ravine_f32x16 ravine_whole(ravine_f32x16 x) {
  return __builtin_convertvector(__builtin_convertvector(x, ravine_i32x16), ravine_f32x16);
}
/* Each lane's entries of two tables: those of the last of six bounds that it is above; n and slope come
 * with what holds below all of them. Not unrolled, which would be large. */
RAVINE_LANES void ravine_find(ravine_f32x16 x, const float *bounds, const float *counts,
                              const float *slopes, void *count, void *slope) {
  ravine_f32x16 *n = (ravine_f32x16 *)count, *s = (ravine_f32x16 *)slope;
#pragma clang loop unroll(disable)
  for (int i = 0; i < 6; i++) {
    *n = x > bounds[i] ? (ravine_f32x16)counts[i] : *n;
    *s = x > bounds[i] ? (ravine_f32x16)slopes[i] : *s;
  }
}
/* The larger magnitudes, as bits: a NaN is larger than infinity, and that than all numbers. */
RAVINE_LANES ravine_u32x16 ravine_larger(ravine_u32x16 a, ravine_f32x16 x) {
  ravine_u32x16 b = (ravine_u32x16)x & 0x7fffffffu;
  return a > b ? a : b;
}

RAVINE_LANES void ravine_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }
