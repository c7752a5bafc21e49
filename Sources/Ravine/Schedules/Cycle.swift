import Kernels

/// cycle: the beginning of a schedule again and again.
struct Cycle: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "cycle", "the first steps of a schedule, again and again",
      formula: "s(t mod steps); s(steps) from limit steps on",
      reference: "ParameterSchedulers.jl Loop", difference: "Loop has no limit.",
      example: "cycle(linear(1, 0.2, steps=30), steps=30)",
      parameters: [
        .schedule("what is repeated"), .steps("how many of its steps"),
        Parameter(
          "limit", .number, .infinity, from: 1, highOpen: false,
          "how many times; after that its value at `steps`"),
      ])
  }

  static func span(_ a: Arguments, inner: Double) -> Double { a.number(1) * min(3, a.number(2)) }

  let inner: Curve
  let steps, limit: Double

  init(_ a: Arguments) throws(RavineError) {
    (inner, steps, limit) = (a.curve(0), a.number(1), a.number(2))
  }

  func value(at t: Double) throws(RavineError) -> Double {
    try inner(t >= steps * limit ? steps : place(of: t, inCyclesOf: steps))
  }
}
