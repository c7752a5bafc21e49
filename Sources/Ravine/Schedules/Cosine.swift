import Kernels

/// cosine: half a cosine from a value down to a floor.
struct Cosine: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "cosine", "half a cosine from value to floor, then floor",
      formula: "floor + (value - floor) (1 + cos(pi min(t, steps) / steps)) / 2",
      reference: "Loshchilov & Hutter 2017, arXiv:1608.03983; torch CosineAnnealingLR",
      difference: """
        Same as torch and optax up to `steps`. Past it this holds the floor, as optax does; \
        torch rises again.
        """,
      parameters: [
        .value, .steps("steps from value to floor"),
        Parameter("floor", .number, 0, from: -.infinity, "the value that it ends at"),
      ])
  }

  let start, steps, floor: Double

  init(_ a: Arguments) throws(RavineError) {
    (start, steps, floor) = (a.number(0), a.number(1), a.number(2))
  }

  func value(at t: Double) -> Double {
    t >= steps ? floor : floor + (start - floor) * (0.5 * (1 + Math.cos(.pi * (t / steps))))
  }
}
