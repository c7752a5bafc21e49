import Kernels

/// warmup: rises to the start of another schedule, and then follows it.
struct Warmup: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "warmup", "rises to the start of a schedule, then follows it",
      formula: """
        t < steps: s(0) (start + (1 - start) f(p)), p = (t + 1) / steps; then s(t - steps)
        f(p): linear p, cosine (1 - cos(pi p)) / 2, sqrt sqrt(p)
        exponential: s(0) start^(1 - p), with 1 / steps for a start of 0
        compat=optax: p = t / steps
        """,
      reference: """
        Goyal et al. 2017, arXiv:1706.02677; llm.c; compat=optax: optax.warmup_constant_schedule, \
        transformers, Keras, timm
        """,
      difference: """
        The first step is not wasted: it has value s(0) / steps, where transformers, optax and Keras \
        begin with 0. The inner schedule begins after the warm-up, as in optax.join_schedules; \
        timm's runs from the first step on unless warmup_prefix is set.
        """,
      parameters: [
        .schedule("what it leads to"),
        Parameter(
          "steps", .count, nil, to: 1e15, share: "total", fits: true, "length of the rise; 0: none"),
        Parameter(
          "shape", .word, 0, to: 3, words: ["linear", "cosine", "sqrt", "exponential"],
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

  func value(at t: Double) -> Double {
    if t >= steps { return inner(t - steps) }
    let p = (t + ahead) / steps
    if shape == 3 { return inner(0) * Math.pow(start > 0 ? start : 1 / steps, 1 - p) }
    return inner(0) * (start + (1 - start) * risen(p))
  }

  private func risen(_ p: Double) -> Double {
    switch shape {
    case 0: p
    case 1: 0.5 * (1 - Math.cos(.pi * p))
    default: p.squareRoot()
    }
  }
}
