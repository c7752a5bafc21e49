import Kernels

/// shift: a schedule that begins later, or that has begun already.
struct Shift: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "shift", "a schedule that begins later, or has begun already",
      formula: "s(max(0, t - steps))",
      reference: "optax transition_begin; ParameterSchedulers.jl Shifted",
      difference: """
        Positive steps are later, as in optax; ParameterSchedulers.jl counts them the other way.
        """,
      example: "shift(cosine(1, steps=70), steps=30)",
      parameters: [
        .schedule("what is moved"),
        Parameter(
          "steps", .count, nil, from: -1e15, to: 1e15, share: "total",
          "how much later; before, its first value. Negative: how much sooner"),
      ])
  }

  let inner: Curve
  let steps: Double
  init(_ a: Arguments) throws(RavineError) { (inner, steps) = (a.curve(0), a.number(1)) }
  func value(at t: Double) throws(RavineError) -> Double { try inner(max(0, t - steps)) }
}
