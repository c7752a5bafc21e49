import Kernels

/// warmup: rises to the start of another schedule, and then follows it.
struct Warmup: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "warmup", "rises to the start of a schedule, then follows it",
      formula: """
        t < steps: s(0) (start + (1 - start) f(p)), p = (t + 1) / steps; then s(t - steps)
        f(p): linear p, cosine (1 - cos(pi p)) / 2, sqrt sqrt(p), log ln(t + 2) / ln(steps + 1)
        exponential: s(0) start^(1 - p), with 1 / steps for a start of 0
        compat=optax: p = t / steps, and log ln(t + 1) / ln(max(2, steps))
        """,
      reference: """
        Goyal et al. 2017, arXiv:1706.02677; llm.c; compat=optax: optax.warmup_constant_schedule, \
        transformers, Keras, timm; with log DeepSpeed WarmupLR
        """,
      difference: """
        The first step is not wasted: it has value s(0) / steps, where transformers, optax and Keras \
        begin with 0. The inner schedule begins after the warm-up, as in optax.join_schedules; \
        timm's runs from the first step on unless warmup_prefix is set. DeepSpeed's log begins with 0 and \
        has s(0) in the last step of the rise: shape=log with compat=optax.
        """,
      example: "warmup(cosine(1, steps=80), steps=20)",
      parameters: [
        .schedule("what it leads to"),
        Parameter(
          "steps", .count, nil, to: 1e15, share: "total", fits: true, "length of the rise; 0: none"),
        Parameter(
          "shape", .word, 0, to: 4, words: ["linear", "cosine", "sqrt", "exponential", "log"],
          "how it rises"),
        Parameter("start", .number, 0, to: 1, highOpen: false, "what share of s(0) it rises from"),
        Parameter(
          "compat", .word, 0, to: 1, words: ["llm.c", "optax"],
          "whether step 0 is the first step of the rise or its foot"),
      ])
  }

  let inner: Curve
  let steps, start, ahead: Double
  let shape: Int

  init(_ a: Arguments) throws(RavineError) {
    (inner, steps, shape, start) = (a.curve(0), a.number(1), a.word(2), a.number(3))
    ahead = a.flag(4) ? 0 : 1
  }

  func value(at t: Double) throws(RavineError) -> Double {
    if t >= steps { return try inner(t - steps) }
    let p = (t + ahead) / steps
    if shape == 3 { return try inner(0) * Math.pow(start > 0 ? start : 1 / steps, 1 - p) }
    return try inner(0) * (start + (1 - start) * (shape == 4 ? risenByLog(t) : risen(p)))
  }

  private func risen(_ p: Double) -> Double {
    switch shape {
    case 0: p
    case 1: 0.5 * (1 - Math.cos(.pi * p))
    default: p.squareRoot()
    }
  }

  /// With compat=optax DeepSpeed's, which is 0 in the first step and 1 in the last.
  private func risenByLog(_ t: Double) -> Double {
    Math.log(t + 1 + ahead) / Math.log(ahead == 0 ? max(2, steps) : steps + 1)
  }
}
