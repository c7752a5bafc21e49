/* The border between the library and its kernels: only C function pointers cross it, since
 * Embedded Swift may emit Swift code into the importing module, under that module's CPU flags. */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum {
  RAVINE_BLOCK_BITS = 10,
  RAVINE_BLOCK = 1 << RAVINE_BLOCK_BITS, /* elements of a block, the unit of everything */
  RAVINE_MAX_ENTRIES = 128,    /* rules, stages or other rows of a table of kernels */
  RAVINE_MAX_SLOTS = 8,        /* state slots of a rule */
  RAVINE_MAX_MEASURES = 4,     /* measurements of a rule */
  RAVINE_MAX_CONSTANTS = 256,  /* bytes of a rule's or a stage's per-step scalars */
  RAVINE_QUANTIZED = 256,      /* elements that share a scale where state has 8 bits */
  RAVINE_INSPECTED = 8,        /* sums that an inspection gives for a block */
  RAVINE_STRETCH = 256,        /* elements after which a rule tells of them */
  RAVINE_KEPT = 8 * RAVINE_STRETCH + 128, /* bytes: their updates, and the last lanes of a tensor */
  RAVINE_TOLD = RAVINE_KEPT + 256,        /* bytes: those, and sums */
  RAVINE_AHEAD = 384,          /* elements that a large tensor's memory is asked for ahead */
  RAVINE_COUNTERS = 4 * 512,   /* of what is counted by sign and exponent: four tables */
  RAVINE_TILE = 32,            /* columns that a reflection changes at a time */
};

/* One block or more through a rule. Counts are multiples of 16; pointers are to the arithmetic
 * type (float or double). */
typedef struct ravine_rule_call {
  const void *constants; /* the rule's per-step scalars */
  const void *p;
  void *out;             /* new parameters; may be p; not written where it measures */
  const void *g;
  double factor;         /* multiplies g */
  void *const *state;    /* one array a slot, of the arithmetic type */
  const intptr_t *masks; /* one a slot: -1, or 0 for a slot that is one dummy group */
  size_t count;
  size_t ahead;          /* memory is asked for so many elements ahead */
  size_t valid;          /* elements that are not padding: sums leave the rest out */
  double *sums;          /* sweep: NULL, or to receive for each block the sums of squares of g and
                            of the update; measuring: one for each measurement of one block */
  size_t measuring;      /* 1: measure only; of a matrix rule: the first part, whose direction is out */
  double *sizes;         /* sweep: NULL, or beside sums to receive for each block the sum of magnitudes
                            of g and the largest; NaN counts as larger than all */
  void *updates;         /* sweep: NULL, or beside sums RAVINE_TOLD bytes that it may use */
} ravine_rule_call;

typedef void (*ravine_rule_kernel)(const ravine_rule_call *);
/* out = stage(in * factor); p: the parameters, or any memory for a stage that does not read them */
typedef void (*ravine_stage_kernel)(const void *constants, const void *in, const void *p,
                                    double factor, void *out, size_t count);
/* One block of a tensor that is seen as a matrix. x and p lie in scratch, and may be read a group of
 * lanes too far. */
typedef struct ravine_unit_call {
  const void *x, *p;         /* the gradient; the parameters */
  void *out;                 /* changed gradient; may be x */
  size_t first, count;       /* where the block begins in the tensor; its elements */
  size_t columns;
  double *sums;              /* three for each row; or three arrays, for the columns */
  double *edges;             /* three of the row that began before, three of the one that goes on */
  const void *shift, *scale; /* by row or by column, in the type of the arithmetic, and padded */
} ravine_unit_call;

typedef void (*ravine_unit_kernel)(const ravine_unit_call *);

/* One block of a tensor whose last two axes are matrices that have moments by row and by column. x and out
 * lie in scratch, and may be read a group of lanes too far. */
typedef struct ravine_factor_call {
  const void *x;            /* measuring: the gradient */
  void *out;                /* else what an element of it is to be multiplied by */
  size_t first, count;      /* where the block begins in the tensor; its elements */
  size_t rows, columns;     /* of one matrix */
  size_t matrix;            /* the first one that column_sums is of */
  double *row_sums;         /* of squares, one for each row */
  double *edges;            /* of the row that began before, and of the one that goes on */
  double *column_sums;
  const void *row_weights, *column_weights; /* in the type of the arithmetic, and padded */
  double most;              /* the largest product of the two */
} ravine_factor_call;

typedef void (*ravine_factor_kernel)(const ravine_factor_call *);
/* out[b] = the measurement of block b, which starts at x + b * RAVINE_BLOCK elements */
typedef void (*ravine_measure_kernel)(const void *x, size_t blocks, size_t count, double *out);
typedef void (*ravine_convert_kernel)(const void *in, void *out, size_t count);
/* What rounding of parameters and state is made of, in float; see Rounding.swift. */
typedef void (*ravine_draw_kernel)(uint64_t key, uint64_t first, uint64_t step, uint16_t *out,
                                    size_t count);
typedef void (*ravine_dither_kernel)(const float *x, const uint16_t *random, size_t is_f16,
                                     float *out, size_t count);
typedef void (*ravine_combine_kernel)(const float *a, const float *b, float factor, float *out,
                                      size_t count);
typedef void (*ravine_recall_kernel)(const float *x, const float *seen, float *p, size_t count);

/* One scale for each RAVINE_QUANTIZED codes. */
typedef void (*ravine_dequantize_kernel)(const uint8_t *codes, const float *scales,
                                         const float *map, float *out, size_t count);
typedef void (*ravine_quantize_kernel)(const float *in, uint8_t *codes, float *scales,
                                       const float *map, size_t positive, size_t valid);
/* tile -= factor v (v^T tile): as many rows as v has, of RAVINE_TILE columns */
typedef void (*ravine_reflect_kernel)(const double *v, size_t rows, double factor, double *tile);

/* What a monitor wants to know of one block of a tensor and its update, beside the gradient's size.
 * Arrays are of the arithmetic type and hold whole groups of lanes. */
typedef struct ravine_inspect_call {
  const void *g;        /* the gradient */
  const void *p, *out;  /* the parameters before, and after, not rounded to their type */
  const void *kept;     /* after, rounded */
  const void *m, *v;    /* means of the gradient and of its square; any memory where there are none */
  size_t count, valid;  /* elements, whole groups of them; those that are not padding */
  double floor;         /* an element of v below it is dominated by eps; of the arithmetic type */
  double hidden;        /* share of a parameter that an update may have and not be seen at all */
  double *sums;         /* RAVINE_INSPECTED of them: see Inspect.swift */
} ravine_inspect_call;
typedef void (*ravine_inspect_kernel)(const ravine_inspect_call *);

/* Some rows of a product, c = alpha a b + beta d. a is packed in panels of tile_rows rows, b in panels of
 * tile_columns columns; c and d have rows `stride` elements apart, and may be the same. */
typedef struct ravine_product_call {
  const void *a, *b;
  size_t depth;          /* products in each sum */
  size_t rows, columns;  /* of c */
  double alpha, beta;    /* rounded to the arithmetic type */
  const void *d;         /* not read where beta is 0 */
  void *c;
  size_t stride;
  void *edge;            /* room for one tile, for those that stick out */
} ravine_product_call;

/* to[k * width + i] = from[i * minor + k * major] for i < valid, and 0 up to width. */
typedef struct ravine_pack_call {
  const void *from;
  void *to;
  size_t minor, major, valid, width, depth;
} ravine_pack_call;

typedef void (*ravine_product_kernel)(const ravine_product_call *);
typedef void (*ravine_pack_kernel)(const ravine_pack_call *);

/* The kernels of one instruction set: arrays of pairs, arithmetic in float at 2 i, in double at
 * 2 i + 1. */
typedef struct ravine_kernels {
  ravine_rule_kernel *rule;       /* by place in the table of rules */
  ravine_stage_kernel *stage;     /* by place in the table of stages; behind them a pair that only
                                     scales */
  ravine_rule_kernel *update;     /* likewise, for those that stand behind the rule; out is read too */
  ravine_measure_kernel *measure; /* by Measurement */
  ravine_measure_kernel sizes[2]; /* two numbers a block: the sum of magnitudes, and the largest; NaN
                                     counts as larger than all */
  ravine_inspect_kernel inspect[2];
  ravine_unit_kernel *unit;       /* pairs: measure rows, columns; change rows, columns */
  ravine_factor_kernel factor[4]; /* pairs: measure, weigh */
  ravine_convert_kernel *load;    /* by element type (RVN_F32...) */
  ravine_convert_kernel *store;
  ravine_draw_kernel draw;
  ravine_dither_kernel dither;
  ravine_combine_kernel combine;
  ravine_recall_kernel recall;
  ravine_dequantize_kernel dequantize;
  ravine_quantize_kernel quantize;
  const float *map[2]; /* see Quantize.swift: of numbers of either sign, and of positive ones */
  ravine_reflect_kernel reflect;
  size_t tile_rows, tile_columns[2];  /* of a product: what registers hold */
  ravine_product_kernel product[2];
  ravine_pack_kernel pack[2];
} ravine_kernels;

void ravine_kernels_baseline(ravine_kernels *);
#if defined(__x86_64__)
void ravine_kernels_avx2(ravine_kernels *);
void ravine_kernels_avx512(ravine_kernels *);
#endif
