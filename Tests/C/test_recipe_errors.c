/* Every way in which a recipe can be wrong: the place, what was expected, the nearest name. */
#include "fixture.h"

typedef struct wrong {
  const char *recipe, *place, *part;
} wrong;

static const wrong table[] = {
    /* names */
    {"", "recipe:1:1", "expected a stage or a rule, found the end"},
    {"   ", "recipe:1:4", "found the end"},
    {"adamv(1e-3)", "recipe:1:1", "there is no 'adamv'; did you mean 'adam"},
    {"SGD(1)", "recipe:1:1", "'SGD'"},
    {"clipnorm(1) | sgd(1)", "recipe:1:1", "did you mean 'clip_norm'?"},
    {"clip_norm(1) | sdg(1)", "recipe:1:16", "did you mean 'sgd'?"},
    {"sgd(cosin(1, steps=3))", "recipe:1:5", "did you mean 'cosine'?"},
    {"sgd(lr=qqqqqqqqq(1))", "recipe:1:8", "there is no 'qqqqqqqqq'"},
    {"sgd(adamw(1))", "recipe:1:5", "adamw is a rule"},
    {"cosine(1, steps=3)", "recipe:1:1", "cosine is a schedule"},
    {"sgd(lr=clip_norm(1))", "recipe:1:8", "clip_norm is a stage"},
    /* arguments */
    {"adamw(1e-3, weigth_decay=0)", "recipe:1:13",
     "adamw has no parameter 'weigth_decay'; did you mean 'weight_decay'?"},
    {"sgd(qqqqqqqq=0)", "recipe:1:5", "sgd has no parameter 'qqqqqqqq'; it has lr, momentum"},
    {"clip_norm | sgd(1)", "recipe:1:1", "clip_norm needs 'max'"},
    {"clip_norm() | sgd(1)", "recipe:1:1", "clip_norm needs 'max'"},
    {"sgd(cosine(0.1))", "recipe:1:5", "cosine needs 'steps'"},
    {"sgd(1, 2, lr=3)", "recipe:1:11", "'lr' of sgd is given twice"},
    {"sgd(lr=1, lr=1)", "recipe:1:11", "given twice"},
    {"sgd(lr=1, 0.9)", "recipe:1:11", "without a name"},
    {"clip_value(1, 2) | sgd(1)", "recipe:1:15", "clip_value takes 1 value"},
    {"sgd(1,)", "recipe:1:7", "found ')'"},
    {"sgd(,1)", "recipe:1:5", "found ',"},
    {"sgd(lr=)", "recipe:1:8", "found ')'"},
    {"sgd(=1)", "recipe:1:5", "found '="},
    {"sgd(1", "recipe:1:6", "expected ',' or ')', found the end"},
    {"sgd(1 0.9)", "recipe:1:7", "expected ',' or ')'"},
    {"sgd(lr 1)", "recipe:1:5", "there is no 'lr'"},
    {"sgd((1))", "recipe:1:5", "found '("},
    /* values */
    {"sgd(-1)", "recipe:1:5", "sgd.lr is -1, which is outside [0, inf"},
    {"adam(beta1=1)", "recipe:1:12", "adam.beta1 is 1, which is outside [0, 1)"},
    {"clip_norm(0) | sgd(1)", "recipe:1:11", "clip_norm.max is 0, which is outside (0, inf"},
    {"clip_norm(-inf) | sgd(1)", "recipe:1:11", "outside (0, inf"},
    {"sgd(inf)", "recipe:1:5", "sgd.lr is inf, which is outside [0, inf)"},
    {"sgd(nan)", "recipe:1:5", "nan"},
    {"sgd(1, nesterov=0.5)", "recipe:1:17", "not 0 or 1"},
    {"sgd(1, nesterov=yes)", "recipe:1:17", "expected"},
    {"sgd(1, nesterov=cosine(1, steps=2))", "recipe:1:17", "expected a number for sgd.nesterov"},
    {"sgd(step(1, every=2.5))", "recipe:1:19", "not a whole number"},
    {"sgd(step(1, every=0))", "recipe:1:19", "outside [1, "},
    {"sgd(1, decay=couplet)", "recipe:1:14", "did you mean 'coupled'?"},
    {"sgd(1, decay=\"couplet\")", "recipe:1:14", "coupled, decoupled"},
    {"sgd(1, decay=)", "recipe:1:14", "expected one of coupled, decoupled"},
    {"sgd(1, decay=\"coupled)", "recipe:1:14", "the quote is not closed"},
    {"clip_norm(1, p=3) | sgd(1)", "recipe:1:16", "one of 1, 2, inf"},
    {"sgd(1e400)", "recipe:1:5", "too large"},
    {"sgd(999999999999999999999999e999999999999)", "recipe:1:5", "too large"},
    {"sgd(1x)", "recipe:1:5", "k, M, G and % are known"},
    {"sgd(1kk)", "recipe:1:5", "k, M, G and % are known"},
    {"sgd(0x10)", "recipe:1:5", "letters"},
    {"sgd(1e)", "recipe:1:5", ""},
    {"sgd(.)", "recipe:1:5", ""},
    {"sgd(1..2)", "recipe:1:5", ""},
    {"sgd(1,2)x", "recipe:1:9", "found 'x'"},
    {"sgd(x2)", "recipe:1:5", ""},
    {"sgd(multistep(1, at=5))", "recipe:1:21", "numbers in parentheses"},
    {"sgd(multistep(1, at=()))", "recipe:1:2", "one number at least"},
    {"sgd(multistep(1, at=(5, x)))", "recipe:1:25", "found 'x'"},
    {"sgd(multistep(1, at=(5 6)))", "recipe:1:24", "',' or ')'"},
    {"sgd(multistep(1, at=(5, 5)))", "recipe:1:5", "at must rise, but 5 follows 5"},
    {"sgd(multistep(1, at=(20, 5)))", "recipe:1:5", "at must rise, but 5 follows 20"},
    {"sgd(multistep(1, at=(-1, 5)))", "recipe:1:22", "outside [0, inf"},
    {"sgd(linear(-1, 1, steps=5))", "recipe:1:5", "sgd.lr is -1"},
    /* chains */
    {"adamw(1) | sgd(1)", "recipe:1:12", "sgd is a second rule, after adamw"},
    {"adamw(1) | clip_norm(1)", "recipe:1:12", "clip_norm changes the gradient, and stands before"},
    {"ema(0.9) | sgd(1)", "recipe:1:1", "ema stands behind the rule"},
    {"clip_norm(1)", "recipe:1:13", "the chain ends in the stage clip_norm, but needs a rule: sgd"},
    {"clip_norm(1) |", "recipe:1:15", "found the end"},
    {"| sgd(1)", "recipe:1:1", "found '|'"},
    {"clip_norm(1) || sgd(1)", "recipe:1:15", "found '|'"},
    {"sgd(1) sgd(1)", "recipe:1:8", "expected '|', ';' or the end, found 'sgd'"},
    {"sgd(1) 0.5", "recipe:1:8", "found '0.5'"},
    {"sgd(1))", "recipe:1:7", "found ')'"},
    {"sgd(1)\n\n  | adam", "recipe:3:5", "adam is a second rule, after sgd"},
    {"# nothing\n  sgx(1)", "recipe:2:3", "did you mean 'sgd'?"},
    {"\xc3\xa9(1)", "recipe:1:1", "found '\xc3\xa9'"},
    {"clip_norm(1) # \xc3\xa9\xc3\xa9\n| \xc3\xa9", "recipe:2:3", "found '\xc3\xa9'"},
    {"clip_norm(1) | sgd(1); \xc3\xa9: rl=2", "recipe:1:27", "'rl'"}, /* columns are characters */
    {"sgd(1)\x01", "recipe:1:7", "byte 1"},
    /* clauses */
    {"sgd(1); *.bias", "recipe:1:15", "':' after the patterns"},
    {"sgd(1); : lr=1", "recipe:1:9", "expected a pattern"},
    {"sgd(1); ,a: lr=1", "recipe:1:9", "expected a pattern"},
    {"sgd(1); a: ", "recipe:1:12", "'frozen', parameter=value, or a rule"},
    {"sgd(1); a: ; b: lr=1", "recipe:1:12", "found ';'"},
    {"sgd(1); a: 5", "recipe:1:12", "found '5'"},
    {"sgd(1); a: frosen", "recipe:1:12", "'frosen'"},
    {"sgd(1); a: adamx(1)", "recipe:1:12", "did you mean 'adam"},
    {"sgd(1); a: clip_norm(1)", "recipe:1:12", "clip_norm is a stage"},
    {"sgd(1); a: clip_norm(1) | sgd(1)", "recipe:1:12", "rule"},
    {"sgd(1); a: sgd(2) | sgd(1)", "recipe:1:12", "not the stages"},
    {"sgd(1); a: lr=1, sgd(2)", "recipe:1:18", "expected parameter=value"},
    {"sgd(1); a: lr=1 lr=2", "recipe:1:17", "found 'lr'"},
    {"sgd(1); a: momentun=1", "recipe:1:12", "did you mean 'momentum'?"},
    {"sgd(1); a: lr=-1", "recipe:1:15", "outside [0, inf"},
    {"sgd(1); a: lr=x", "recipe:1:15", ""},
    {"sgd(1); a: frozen b", "recipe:1:19", "found 'b'"},
    {"clip_norm(1) | sgd(1); a: clip_norm.max=2", "recipe:1:27", "is one for all tensors"},
    {"finite_guard(zero) | sgd(1); a: finite_guard.action=skip", "recipe:1:", ""},
    {"sgd(1); @rank: lr=1", "recipe:1:9", "@rank<2"},
    {"sgd(1); @rank<: lr=1", "recipe:1:9", "@rank<2"},
    {"sgd(1); @rank<x: lr=1", "recipe:1:9", "@rank<2"},
    {"sgd(1); @rang<2: lr=1", "recipe:1:9", "@rank<2"},
    {"sgd(1); @rank<>2: lr=1", "recipe:1:9", "@rank<2"},
    {"sgd(1); @size>99999999999999999999: lr=1", "recipe:1:9", "@rank<2"},
    {"sgd(1); @size>=2 b: lr=1", "recipe:1:18", "':'"},
    {"sgd(1); \"a: lr=1", "recipe:1:9", "the quote is not closed"},
    {"sgd(1); a?b: lr=1", "recipe:1:11", "':'"},
    /* text that is not UTF-8 cannot be printed back */
    {"sgd(1); \xff*: lr=1", "recipe:1:9", "UTF-8"},
    {"sgd(1); \"\xc3\": lr=1", "recipe:1:", "UTF-8"},
};

static int is_utf8(const char *s) {
  const unsigned char *p = (const unsigned char *)s;
  while (*p) {
    int n = *p < 0x80 ? 0 : (*p & 0xe0) == 0xc0 ? 1 : (*p & 0xf0) == 0xe0 ? 2
            : (*p & 0xf8) == 0xf0 ? 3 : -1;
    if (n < 0) return 0;
    for (p++; n > 0; n--, p++) {
      if ((*p & 0xc0) != 0x80) return 0;
    }
  }
  return 1;
}

static void refuses(const char *recipe, const char *place, const char *part) {
  rvn_optimizer *opt = (rvn_optimizer *)&opt;
  if (CHECK_STATUS(rvn_optimizer_create(recipe, &opt), RVN_ERR_RECIPE)) {
    CHECK_SAYS(place);
    CHECK_SAYS(part);
    CHECK(is_utf8(rvn_last_error()));
  }
  CHECK(opt == NULL);
  rvn_optimizer_destroy(opt);
}

/* A text of `count` copies of `piece` between two others. */
static char *repeated(const char *before, const char *piece, size_t count, const char *after) {
  size_t one = strlen(piece), at = strlen(before), i;
  char *out = malloc(at + count * one + strlen(after) + 1);
  strcpy(out, before);
  for (i = 0; i < count; i++, at += one) memcpy(out + at, piece, one);
  strcpy(out + at, after);
  return out;
}

static void limit(const char *before, const char *piece, size_t count, const char *after,
                  const char *part) {
  char *text = repeated(before, piece, count, after);
  NOTE("%s%s... %lu times", before, piece, (unsigned long)count);
  refuses(text, "recipe", part);
  free(text);
}

static void limits(void) {
  limit("sgd(", "warmup(", 40, "1", "nested deeper");
  limit("", "clip_value(1) | ", 100, "sgd(1)", "stages");
  limit("sgd(1)", "; a: lr=1", 2000, "", "clauses");
  limit("sgd(1); ", "a, ", 200, "a: lr=1", "patterns");
  limit("sgd(multistep(1, at=(", "1, ", 9000, ")))", "numbers");
  limit("sgd(1) #", " ", 70000, "", "bytes");
  limit("sgd(1) #", " ", 10000000, "", "bytes");
  limit("", "x", 60000, "(1)", "there is no");
  limit("sgd(", "9", 60000, ")", "too large");
  /* What the sentence quotes is cut between characters. */
  limit("sgd(1) ", "\xe2\x82\xac", 300, "", "found");
  limit("sgd(1) a", "\xe2\x82\xac", 300, "", "found");
  limit("sgd(1) ab", "\xe2\x82\xac", 300, "", "found");
  limit("sgd(1, decay=\"", "\xf0\x9f\x8c\xb2", 400, "\")", "coupled");
  limit("sgd(1, decay=\"a", "\xf0\x9f\x8c\xb2", 400, "\")", "coupled");
}

static void schedules(void) {
  static const wrong texts[] = {{"", "schedule:1:1", "a schedule or a number"},
                                {"sgd(1)", "schedule:1:1", "sgd is a rule"},
                                {"cosin(1)", "schedule:1:1", "did you mean 'cosine'?"},
                                {"0.1 2", "schedule:1:5", "the end of the schedule"},
                                {"linear(1, 2)", "schedule:1:1", "needs 'steps'"},
                                {"cosine(1, steps=0)", "schedule:1:17", "outside [1, "},
                                {"1e999", "schedule:1:1", "too large"},
                                {"nan", "schedule:1:1", ""}};
  size_t i;
  for (i = 0; i < sizeof texts / sizeof *texts; i++) {
    rvn_schedule *s = (rvn_schedule *)&s;
    NOTE("%s", texts[i].recipe);
    if (CHECK_STATUS(rvn_schedule_create(texts[i].recipe, &s), RVN_ERR_RECIPE)) {
      CHECK_SAYS(texts[i].place);
      CHECK_SAYS(texts[i].part);
    }
    CHECK(s == NULL);
    rvn_schedule_destroy(s);
  }
}

int main(void) {
  size_t i;
  for (i = 0; i < sizeof table / sizeof *table; i++) {
    NOTE("%s", table[i].recipe);
    refuses(table[i].recipe, table[i].place, table[i].part);
  }
  limits();
  schedules();
  return finish();
}
