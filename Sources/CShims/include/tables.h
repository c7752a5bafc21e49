/* The tables of Math.swift (tables.c): in C, where they are constant data without any set-up. */
#pragma once
#include <stdint.h>

typedef struct ravine_exp_row {
  double power, tail; /* power (1 + tail) = 2^(1 + i/128) */
} ravine_exp_row;

typedef struct ravine_log_row {
  double inverse, high, low; /* high + low = -log(inverse), high a multiple of 2^-42 */
} ravine_log_row;

#define RAVINE_TABLE extern __attribute__((visibility("hidden")))
RAVINE_TABLE const ravine_exp_row ravine_exp_table[128];
RAVINE_TABLE const ravine_log_row ravine_log_table[128];

/* Row i modulo 128. */
static inline const ravine_exp_row *ravine_exp_row_at(intptr_t i) {
  return &ravine_exp_table[i & 127];
}
static inline const ravine_log_row *ravine_log_row_at(intptr_t i) {
  return &ravine_log_table[i & 127];
}
