/* What several tests need: random numbers, recipes made from the catalog, a handle in one call. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "check.h"

/* xorshift64*: the same numbers everywhere. */
static uint64_t random_state = 0x9e3779b97f4a7c15u;
CHECK_UNUSED static uint64_t random_bits(void) {
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return random_state * 0x2545f4914f6cdd1du;
}
/* In -1..1, in steps of 2^-23: exact in a float. */
CHECK_UNUSED static float random_float(void) {
  return (float)((int32_t)(random_bits() >> 40) - (1 << 23)) * 0x1p-23f;
}
CHECK_UNUSED static void fill_random(float *x, size_t n, float scale) {
  size_t i;
  for (i = 0; i < n; i++) x[i] = scale * random_float();
}

CHECK_UNUSED static rvn_options threads_of(int32_t n) {
  rvn_options o;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o, o.threads = n;
  return o;
}

CHECK_UNUSED static rvn_optimizer *create(const char *recipe) {
  rvn_optimizer *opt = NULL;
  check_status(rvn_optimizer_create(recipe, &opt), RVN_OK, recipe, __FILE__, __LINE__);
  return opt;
}

CHECK_UNUSED static rvn_status add_typed(rvn_optimizer *opt, const char *name, void *data,
                                         const void *grad, int64_t n, int32_t dtype,
                                         int32_t grad_dtype) {
  rvn_tensor t;
  memset(&t, 0, sizeof t);
  t.struct_size = sizeof t;
  t.name = name;
  t.data = data;
  t.grad = grad;
  t.dtype = dtype;
  t.grad_dtype = grad_dtype;
  t.rank = 1;
  t.shape = &n;
  return rvn_optimizer_add(opt, &t, NULL);
}
CHECK_UNUSED static rvn_status add(rvn_optimizer *opt, const char *name, float *data,
                                   const float *grad, int64_t n) {
  return add_typed(opt, name, data, grad, n, RVN_F32, 0);
}

/* How many elements a state slot has; its shape goes to shape, which has room for 8. */
CHECK_UNUSED static size_t slot_count(const rvn_optimizer *opt, size_t i, const char *slot,
                                      int64_t *shape, size_t rank) {
  size_t n = 1, k;
  if (!CHECK_OK(rvn_optimizer_slot_shape(opt, i, slot, shape, rank))) return 0;
  for (k = 0; k < rank; k++) n *= (size_t)shape[k];
  return n;
}

CHECK_UNUSED static rvn_entry entry_at(size_t i) {
  rvn_entry e;
  memset(&e, 0, sizeof e);
  e.struct_size = sizeof e;
  CHECK_OK(rvn_catalog_entry(i, &e));
  return e;
}
CHECK_UNUSED static rvn_parameter parameter_at(size_t i, size_t k) {
  rvn_parameter p;
  memset(&p, 0, sizeof p);
  p.struct_size = sizeof p;
  CHECK_OK(rvn_catalog_parameter(i, k, &p));
  return p;
}

/* A value for parameter p: its default or, where it has none or `busy` asks for it, something in
 * range that switches on what the default leaves off. */
CHECK_UNUSED static void value_for(const rvn_parameter *p, int busy, char *out, size_t cap) {
  const char *space = strrchr(p->words, ' ');
  int off = strcmp(p->initial, "0") == 0 && p->low <= 0.25 && p->high >= 0.25;
  snprintf(out, cap, "%s", p->initial);
  if (p->kind == RVN_PARAMETER_FLAG && busy) snprintf(out, cap, "1");
  if (p->kind == RVN_PARAMETER_WORD && (busy || !*p->initial))
    snprintf(out, cap, "%s", space ? space + 1 : p->words);
  if (p->kind == RVN_PARAMETER_NUMBER && ((busy && off) || !*p->initial)) snprintf(out, cap, "0.25");
  if (*p->initial) return;
  if (p->kind == RVN_PARAMETER_COUNT) snprintf(out, cap, "7");
  if (p->kind == RVN_PARAMETER_LIST) snprintf(out, cap, p->low < 0 ? "(0.25, 0.125)" : "(2, 5)");
  if (p->kind == RVN_PARAMETER_SCHEDULE) snprintf(out, cap, "0.25");
  if (p->kind == RVN_PARAMETER_SCHEDULES) snprintf(out, cap, "(0.0625, cosine(0.0625, 5), 0.0625)");
}

/* "name(a=1, b=2)" for entry i of the catalog; 0 if the text does not fit or busy changes nothing. */
CHECK_UNUSED static int recipe_for(size_t i, int busy, char *out, size_t cap) {
  rvn_entry e = entry_at(i);
  size_t k, used = (size_t)snprintf(out, cap, "%s(", e.name);
  int changed = 0;
  for (k = 0; k < e.parameter_count; k++) {
    rvn_parameter p = parameter_at(i, k);
    char value[64];
    value_for(&p, busy, value, sizeof value);
    changed += strcmp(value, p.initial) != 0;
    if (used < cap)
      used += (size_t)snprintf(out + used, cap - used, "%s%s=%s", k ? ", " : "", p.name, value);
  }
  if (used < cap) used += (size_t)snprintf(out + used, cap - used, ")");
  return used < cap && (!busy || changed);
}

/* Rule number n of those that step tensors of any rank by gradients alone (test_matrices.c and
 * test_curvature.c have the others), each with its defaults and then with everything switched on; 0
 * behind the last. */
CHECK_UNUSED static int rule_recipe(size_t n, char *out, size_t cap) {
  size_t i, seen = 0;
  int busy;
  for (i = 0; i < rvn_catalog_count(); i++) {
    rvn_entry e = entry_at(i);
    if (strcmp(e.kind, "rule") != 0 || e.least_rank > 0 || *e.needs) continue;
    for (busy = 0; busy < 2; busy++) {
      if (recipe_for(i, busy, out, cap) && seen++ == n) return 1;
    }
  }
  return 0;
}

#endif
