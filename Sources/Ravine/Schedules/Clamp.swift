import Kernels

/// clamp: a schedule kept between two values.
struct Clamp: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "clamp", "a schedule kept between two values",
      formula: "min(max(s(t), low), high)",
      reference: "optax.exponential_decay(end_value), for any schedule", difference: "None.",
      example: "clamp(exponential(1, factor=0.95), low=0.2, high=0.8)",
      parameters: [
        .schedule("what is kept"),
        Parameter("low", .number, -.infinity, from: -.infinity, lowOpen: false, "the least value"),
        Parameter("high", .number, .infinity, from: -.infinity, highOpen: false, "the most"),
      ])
  }

  let inner: Curve
  let low, high: Double

  init(_ a: Arguments) throws(RavineError) {
    (inner, low, high) = (a.curve(0), a.number(1), a.number(2))
    if low > high { throw .recipe("clamp: low is \(low), which is above high, which is \(high)") }
  }

  func value(at t: Double) throws(RavineError) -> Double {
    let x = try inner(t)
    return x < low ? low : x > high ? high : x
  }
}
