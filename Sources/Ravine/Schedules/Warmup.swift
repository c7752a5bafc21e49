import Kernels

/// warmup: rises in a line to the start of another schedule, and then follows it.
struct Warmup: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "warmup", "rises in a line to the start of a schedule, then follows it",
      formula: "s(0) (t + 1) / steps for t < steps, then s(t - steps)",
      reference: "Goyal et al. 2017, arXiv:1706.02677",
      difference: """
        The first step is not wasted: it has value s(0) / steps, where transformers and optax begin \
        with 0. The inner schedule begins after the warm-up.
        """,
      parameters: [
        Parameter("schedule", .schedule, nil, from: -.infinity, "what it leads to"),
        .steps("length of the rise"),
      ])
  }

  let inner: Curve
  let steps: Double

  init(_ a: Arguments) throws(RavineError) {
    inner = a.curve(0)
    steps = a.number(1)
  }

  func value(at t: Double) -> Double {
    t < steps ? inner(0) * ((t + 1) / steps) : inner(t - steps)
  }
}
