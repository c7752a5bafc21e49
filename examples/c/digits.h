/* digits.h - handwritten digits and a small neural network, without an optimizer.
 *
 * The images come from examples/data/digits.csv. The network has 64 inputs, 128 hidden units
 * (ReLU) and 10 outputs (softmax, cross-entropy). It computes its own gradients. Nothing here
 * knows about Ravine: see train_digits.c for that. */
#ifndef DIGITS_H
#define DIGITS_H

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 1797, TRAIN = 1437, TEST = IMAGES - TRAIN };
enum { PIXELS = 64, HIDDEN = 128, CLASSES = 10 };

/* ---- random numbers ------------------------------------------------------------------------- */

/* One round of SplitMix64 (Steele, Lea and Flood, 2014). */
static uint64_t mix(uint64_t x) {
  x += UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

/* 64 random bits as a pure function of three numbers: there is no state to save. */
static uint64_t random_bits(uint64_t seed, uint64_t stream, uint64_t index) {
  return mix(mix(mix(seed) + stream) + index);
}

/* The streams of one seed. */
enum { STREAM_SPLIT = 0, STREAM_HIDDEN = 1, STREAM_OUTPUT = 2 };

/* Puts items in an order that depends on seed and stream only (Fisher and Yates). */
static void shuffle(int *items, int count, uint64_t seed, uint64_t stream) {
  for (int i = count - 1; i > 0; i--) {
    int j = (int)(random_bits(seed, stream, (uint64_t)i) % (uint64_t)(i + 1));
    int item = items[i];
    items[i] = items[j];
    items[j] = item;
  }
}

/* ---- images --------------------------------------------------------------------------------- */

/* Images 0..<TRAIN are for training, the rest for testing. */
struct digits {
  float pixels[IMAGES][PIXELS]; /* 0 to 1 */
  int labels[IMAGES];           /* 0 to 9 */
};

/* Reads one line "p,p,...,p,label". Gives 0 if it is anything else. */
static int parse_image(const char *line, float *pixels, int *label) {
  for (int i = 0; i <= PIXELS; i++) {
    char *end;
    long value = strtol(line, &end, 10), most = i < PIXELS ? 16 : CLASSES - 1;
    if (end == line || value < 0 || value > most) return 0;
    if (i < PIXELS) {
      if (*end != ',') return 0;
      pixels[i] = (float)value / 16;
      line = end + 1;
    } else {
      *label = (int)value;
      line = end;
    }
  }
  return line[strspn(line, "\r\n")] == 0;
}

/* Reads all images and divides them, always in the same way, into training and test images.
 * Gives 1, or 0 after it has printed what is wrong. */
static int read_digits(const char *path, struct digits *digits) {
  int place[IMAGES], count = 0;
  for (int i = 0; i < IMAGES; i++) place[i] = i;
  shuffle(place, IMAGES, 0, STREAM_SPLIT);

  FILE *file = fopen(path, "r");
  if (!file) {
    fprintf(stderr, "cannot open %s: %s; tell where digits.csv is with --data PATH\n", path,
            strerror(errno));
    return 0;
  }
  char line[512];
  int good = 1;
  while (good && fgets(line, sizeof line, file)) {
    int at = count < IMAGES ? place[count] : 0;
    count++;
    if (count > IMAGES) {
      fprintf(stderr, "%s: more than %d lines, expected one for each of %d images\n", path, IMAGES,
              IMAGES);
      good = 0;
    } else if (!parse_image(line, digits->pixels[at], &digits->labels[at])) {
      fprintf(stderr,
              "%s:%d: expected 65 whole numbers separated by commas: 64 pixels from 0 to 16 and a "
              "digit from 0 to 9\n",
              path, count);
      good = 0;
    }
  }
  if (good && ferror(file)) {
    fprintf(stderr, "cannot read %s: %s\n", path, strerror(errno));
    good = 0;
  } else if (good && count < IMAGES) {
    fprintf(stderr, "%s: %d images, expected %d; the file is cut off\n", path, count, IMAGES);
    good = 0;
  }
  fclose(file);
  return good;
}

/* ---- the network ---------------------------------------------------------------------------- */

/* All parameters, or the gradient by each of them. Floats only, so there are no gaps. */
struct network {
  float hidden_weight[PIXELS][HIDDEN];
  float hidden_bias[HIDDEN];
  float output_weight[HIDDEN][CLASSES];
  float output_bias[CLASSES];
};

/* Weights for ReLU (He and others, 2015): uniform, with variance 2 / inputs. */
static void fill_weights(float *weights, int inputs, int outputs, uint64_t seed, uint64_t stream) {
  float limit = sqrtf(6.0f / (float)inputs);
  for (int i = 0; i < inputs * outputs; i++) {
    float unit = (float)(random_bits(seed, stream, (uint64_t)i) >> 40) / 16777216.0f;
    weights[i] = limit * (2 * unit - 1);
  }
}

static void initialise(struct network *network, uint64_t seed) {
  memset(network, 0, sizeof *network);
  fill_weights(&network->hidden_weight[0][0], PIXELS, HIDDEN, seed, STREAM_HIDDEN);
  fill_weights(&network->output_weight[0][0], HIDDEN, CLASSES, seed, STREAM_OUTPUT);
}

/* Computes the hidden units and the outputs (before softmax) for one image. */
static void forward(const struct network *network, const float *pixels, float *hidden,
                    float *output) {
  memcpy(hidden, network->hidden_bias, sizeof network->hidden_bias);
  for (int i = 0; i < PIXELS; i++)
    for (int j = 0; j < HIDDEN; j++) hidden[j] += pixels[i] * network->hidden_weight[i][j];
  for (int j = 0; j < HIDDEN; j++) hidden[j] = hidden[j] < 0 ? 0 : hidden[j];

  memcpy(output, network->output_bias, sizeof network->output_bias);
  for (int j = 0; j < HIDDEN; j++)
    for (int k = 0; k < CLASSES; k++) output[k] += hidden[j] * network->output_weight[j][k];
}

/* Turns outputs into probabilities. Gives the cross-entropy of the right label. */
static float softmax(float *output, int label) {
  float most = output[0], sum = 0, right = output[label];
  for (int k = 1; k < CLASSES; k++) most = output[k] > most ? output[k] : most;
  for (int k = 0; k < CLASSES; k++) {
    output[k] = expf(output[k] - most);
    sum += output[k];
  }
  for (int k = 0; k < CLASSES; k++) output[k] /= sum;
  return logf(sum) + most - right;
}

/* Gives the mean loss over the images chosen[0..<count], and its gradient in *gradient. */
static float loss_and_gradient(const struct network *network, const struct digits *digits,
                               const int64_t *chosen, size_t count,
                               struct network *gradient) {
  float loss = 0, share = 1 / (float)count;
  memset(gradient, 0, sizeof *gradient);
  for (size_t n = 0; n < count; n++) {
    const float *pixels = digits->pixels[chosen[n]];
    int label = digits->labels[chosen[n]];
    float hidden[HIDDEN], output[CLASSES], back[HIDDEN];

    forward(network, pixels, hidden, output);
    loss += share * softmax(output, label);

    output[label] -= 1; /* from here on the gradient by the outputs */
    for (int k = 0; k < CLASSES; k++) {
      output[k] *= share;
      gradient->output_bias[k] += output[k];
    }
    for (int j = 0; j < HIDDEN; j++) {
      float sum = 0; /* the gradient by hidden unit j; ReLU lets it through where j is on */
      for (int k = 0; k < CLASSES; k++) {
        gradient->output_weight[j][k] += hidden[j] * output[k];
        sum += network->output_weight[j][k] * output[k];
      }
      back[j] = hidden[j] > 0 ? sum : 0;
      gradient->hidden_bias[j] += back[j];
    }
    for (int i = 0; i < PIXELS; i++)
      for (int j = 0; j < HIDDEN; j++) gradient->hidden_weight[i][j] += pixels[i] * back[j];
  }
  return loss;
}

/* How many of the test images the network names rightly. */
static int count_right(const struct network *network, const struct digits *digits) {
  int right = 0;
  for (int n = TRAIN; n < IMAGES; n++) {
    float hidden[HIDDEN], output[CLASSES];
    int best = 0;
    forward(network, digits->pixels[n], hidden, output);
    for (int k = 1; k < CLASSES; k++) best = output[k] > output[best] ? k : best;
    right += best == digits->labels[n];
  }
  return right;
}

/* FNV-1a of all bytes, to see at a glance whether two runs ended in the same place. */
static uint64_t checksum(const struct network *network) {
  const unsigned char *bytes = (const unsigned char *)network;
  uint64_t sum = UINT64_C(0xcbf29ce484222325);
  for (size_t i = 0; i < sizeof *network; i++) sum = (sum ^ bytes[i]) * UINT64_C(0x100000001b3);
  return sum;
}

#endif
