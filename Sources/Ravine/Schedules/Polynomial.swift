import Kernels

/// polynomial: a power of the steps that are left.
struct Polynomial: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "polynomial", "from value to end as a power of the steps that are left, then end",
      formula: "end + (value - end) (1 - min(t, steps) / steps)^power",
      reference: """
        optax.polynomial_schedule; torch PolynomialLR; keras PolynomialDecay, whose cycle this has
        """,
      difference: """
        Same as all three. torch ends at 0 only; Keras ends at 1e-4 and transformers at 1e-7 unless \
        told otherwise, this at 0.
        """,
      example: "polynomial(1, steps=100, power=2)",
      parameters: [
        .value, .steps("steps from value to end"),
        Parameter("end", .number, 0, from: -.infinity, "the value that it ends at"),
        Parameter("power", .number, 1, lowOpen: true, "1 is a straight line"),
        Parameter(
          "cycle", .flag, 0, to: 1,
          "past the end begin again, as if steps were the next multiple of it"),
      ])
  }

  let start, steps, end, power: Double
  let cycle: Bool

  init(_ a: Arguments) throws(RavineError) {
    (start, steps, end, power, cycle) = (
      a.number(0), a.number(1), a.number(2), a.number(3), a.flag(4)
    )
  }

  func value(at t: Double) -> Double {
    let length = cycle ? steps * max(1, -(-t / steps).rounded(.down)) : steps
    return t >= length ? end : end + (start - end) * Math.pow(1 - t / length, power)
  }
}
