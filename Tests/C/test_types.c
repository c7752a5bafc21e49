/* Every pair of element types, every length and alignment, against a loop that anyone can read:
 * sgd with momentum in plain IEEE arithmetic, bit for bit. Built with -ffp-contract=off. */
#include "fixture.h"

enum { MOST = 5000, GUARD = 64, STEPS = 3 };

static const int32_t types[4] = {RVN_F32, RVN_F64, RVN_BF16, RVN_F16};
static const size_t sizes[4] = {4, 8, 2, 2};
static const char *const type_names[4] = {"F32", "F64", "BF16", "F16"};

static float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
static uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

/* Half precision and bfloat16 by their definition: value = sign * mantissa * 2^exponent. */
static float widen(uint16_t h, int half) {
  uint32_t sign = (uint32_t)(h >> 15) << 31, exponent = (h >> 10) & 31, mantissa = h & 1023;
  float x;
  if (!half) return float_of((uint32_t)h << 16);
  if (exponent == 31) return float_of(sign | 0x7f800000u | mantissa << 13);
  if (exponent == 0) x = (float)mantissa * 0x1p-24f;
  else x = float_of((exponent + 112) << 23 | mantissa << 13);
  return sign ? -x : x;
}

/* Round to nearest, ties to even: of the two neighbours the nearer, by search. */
static uint16_t narrow(float x, int half) {
  uint32_t sign = bits_of(x) >> 31;
  double a = sign ? -(double)x : (double)x;
  uint16_t low = 0, high = half ? 0x7c00 : 0x7f80;
  double below, above;
  if (x != x) return half ? 0x7e00 : 0x7fc0;
  if (a - a != 0) return (uint16_t)(sign << 15 | high);
  while (high - low > 1) { /* low <= a < high */
    uint16_t middle = (uint16_t)((low + high) / 2);
    if ((double)widen(middle, half) <= a) low = middle;
    else high = middle;
  }
  below = a - (double)widen(low, half);
  /* Infinity counts as the next power of two. */
  above = (high == (half ? 0x7c00 : 0x7f80) ? (half ? 65536.0 : 0x1p128) : (double)widen(high, half)) - a;
  if (above < below || (above == below && (high & 1) == 0)) low = high;
  return (uint16_t)(sign << 15 | low);
}

static double get(const void *array, size_t i, int type) {
  uint16_t h;
  float f;
  double d;
  switch (type) {
    case 0: memcpy(&f, (const char *)array + 4 * i, 4); return f;
    case 1: memcpy(&d, (const char *)array + 8 * i, 8); return d;
    default: memcpy(&h, (const char *)array + 2 * i, 2); return widen(h, type == 3);
  }
}
static void put(void *array, size_t i, int type, double x) {
  float f = (float)x;
  uint16_t h;
  switch (type) {
    case 0: memcpy((char *)array + 4 * i, &f, 4); return;
    case 1: memcpy((char *)array + 8 * i, &x, 8); return;
    default: h = narrow(f, type == 3); memcpy((char *)array + 2 * i, &h, 2); return;
  }
}

/* One step of sgd(0.1, momentum=0.9, dampening=0.25, weight_decay=0.01), perhaps behind
 * clip_value(0.5), in float, and in double for F64. */
static double reference_double(double p, double g, double *m, int first, int clip) {
  if (clip && g > 0.5) g = 0.5;
  if (clip && g < -0.5) g = -0.5;
  g = g + 0.01 * p;
  *m = first ? g : 0.9 * *m + 0.75 * g;
  return p - 0.1 * *m;
}
static float reference_float(float p, float g, float *m, int first, int clip) {
  const float lr = (float)0.1, momentum = (float)0.9, fresh = 0.75f, decay = (float)0.01;
  if (clip && g > 0.5f) g = 0.5f;
  if (clip && g < -0.5f) g = -0.5f;
  g = g + decay * p;
  *m = first ? g : momentum * *m + fresh * g;
  return p - lr * *m;
}

static unsigned char memory[2][MOST * 8 + 2 * GUARD + 64], untouched[MOST * 8 + 2 * GUARD + 64];
static unsigned char grads[MOST * 8 + 64], grads_before[MOST * 8 + 64];
static double m_double[MOST], state_double[MOST];
static float m_float[MOST];

static void one(int type, int grad_type, size_t n, size_t shift, int clip, int bound, int report) {
  rvn_optimizer *opt = create(clip ? "clip_value(0.5) | sgd(0.1, momentum=0.9, dampening=0.25, weight_decay=0.01)"
                                   : "sgd(0.1, momentum=0.9, dampening=0.25, weight_decay=0.01)");
  unsigned char *p = memory[0] + GUARD + shift * sizes[type], *q = memory[1] + GUARD + shift * sizes[type];
  unsigned char *g = grads + shift * sizes[grad_type];
  const void *passed[1];
  rvn_step_input in;
  rvn_step_report r;
  size_t i;
  int step;
  memset(memory, 0x5a, sizeof memory);
  for (i = 0; i < n; i++) put(p, i, type, 3 * random_float());
  memcpy(q, p, n * sizes[type]);
  memcpy(untouched, memory[0], sizeof untouched);
  CHECK_OK(add_typed(opt, "w", p, bound ? g : NULL, (int64_t)n, types[type],
                     type == grad_type && shift % 2 ? 0 : types[grad_type]));
  memset(&in, 0, sizeof in);
  in.struct_size = sizeof in, in.grads = passed, in.grad_count = 1;
  passed[0] = g;
  r.struct_size = sizeof r;
  for (step = 0; step < STEPS; step++) {
    for (i = 0; i < n; i++) put(g, i, grad_type, random_float());
    memcpy(grads_before, grads, sizeof grads);
    CHECK_OK(rvn_optimizer_step(opt, bound ? NULL : &in, report ? &r : NULL));
    if (memcmp(grads, grads_before, sizeof grads) != 0) CHECK(!"a gradient was written to");
    for (i = 0; i < n; i++) {
      double x = get(q, i, type), y = get(g, i, grad_type);
      if (type == 1) put(q, i, 1, reference_double(x, y, &m_double[i], step == 0, clip));
      else put(q, i, type, reference_float((float)x, (float)y, &m_float[i], step == 0, clip));
    }
    if (!CHECK_BYTES(p, q, n * sizes[type])) break;
  }
  /* Neither in front of the array nor behind it. */
  CHECK_BYTES(memory[0], untouched, (size_t)(p - memory[0]));
  CHECK_BYTES(p + n * sizes[type], untouched + (p - memory[0]) + n * sizes[type], GUARD);
  CHECK_OK(rvn_optimizer_read(opt, 0, "m", RVN_F64, state_double, n));
  for (i = 0; i < n; i++) {
    if (state_double[i] != (type == 1 ? m_double[i] : (double)m_float[i])) CHECK(!"state differs");
  }
  rvn_optimizer_destroy(opt);
}

static void every_length(int type, int grad_type) {
  static const size_t lengths[] = {1023, 1024, 1025, 1039, 2048, 5000};
  size_t i, n;
  for (n = 0; n <= 100; n++) {
    NOTE("%s, gradient %s, %lu elements", type_names[type], type_names[grad_type], (unsigned long)n);
    one(type, grad_type, n, n % 8, 0, n % 2 == 0, 0);
    one(type, grad_type, n, (n + 3) % 8, 1, n % 2 == 1, n % 3 == 0);
  }
  for (i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    n = lengths[i];
    NOTE("%s, gradient %s, %lu elements", type_names[type], type_names[grad_type], (unsigned long)n);
    one(type, grad_type, n, 0, i % 2 == 0, 1, 0);
    one(type, grad_type, n, 1, i % 2 == 1, 0, 0);
    one(type, grad_type, n, 3, i % 2 == 1, 0, 1);
  }
}

/* Each of the 65536 values of a 16-bit type out of the library and in again. */
static void every_half(int half) {
  static uint16_t all[65536], back[65536];
  static float wide[65536];
  rvn_optimizer *opt = create("sgd(1, momentum=0.5)");
  static float p[65536];
  size_t i, wrong = 0;
  NOTE("%s", half ? "F16" : "BF16");
  CHECK_OK(add(opt, "w", p, p, 65536));
  CHECK_OK(rvn_optimizer_prepare(opt));
  for (i = 0; i < 65536; i++) all[i] = (uint16_t)i;
  CHECK_OK(rvn_optimizer_write(opt, 0, "m", half ? RVN_F16 : RVN_BF16, all, 65536));
  CHECK_OK(rvn_optimizer_read(opt, 0, "m", RVN_F32, wide, 65536));
  CHECK_OK(rvn_optimizer_read(opt, 0, "m", half ? RVN_F16 : RVN_BF16, back, 65536));
  for (i = 0; i < 65536; i++) {
    float x = widen((uint16_t)i, half);
    if (x != x) wrong += wide[i] == wide[i] || widen(back[i], half) == widen(back[i], half);
    else wrong += bits_of(x) != bits_of(wide[i]) || back[i] != i;
  }
  CHECK(wrong == 0);
  /* Rounding: near every value, half way between two, and anything. */
  for (i = 0; i < 65536; i++) {
    uint32_t base = bits_of(widen((uint16_t)(random_bits() >> 8), half));
    uint32_t ulp = half ? 1u << 13 : 1u << 16;
    static const int32_t off[8] = {0, 1, -1, 0, 1, -1, 7, -7};
    wide[i] = float_of(base + (i & 8 ? ulp / 2 : 0) + (uint32_t)off[i & 7]);
    if (i % 5 == 0) wide[i] = float_of((uint32_t)random_bits());
    if (i % 7 == 0) wide[i] = (float)((double)(random_bits() & 0xffff) * 0x1p-29); /* F16 subnormals */
  }
  CHECK_OK(rvn_optimizer_write(opt, 0, "m", RVN_F32, wide, 65536));
  CHECK_OK(rvn_optimizer_read(opt, 0, "m", half ? RVN_F16 : RVN_BF16, back, 65536));
  for (i = 0, wrong = 0; i < 65536; i++) {
    float y = widen(back[i], half);
    if (wide[i] != wide[i] ? y == y : back[i] != narrow(wide[i], half)) {
      if (wrong++ == 0) NOTE("%a becomes %04x, not %04x", (double)wide[i], back[i], narrow(wide[i], half));
    }
  }
  CHECK(wrong == 0);
  rvn_optimizer_destroy(opt);
}

int main(void) {
  int type, grad_type;
  for (type = 0; type < 4; type++) {
    for (grad_type = 0; grad_type < 4; grad_type++) every_length(type, grad_type);
  }
  every_half(0), every_half(1);
  return finish();
}
