import Kernels

/// tanh_decay: a hyperbolic tangent from a value down to a floor.
struct TanhDecay: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "tanh_decay", "a hyperbolic tangent from about value to floor, then floor",
      formula: "floor + (value - floor) (1 - tanh(lower (1 - p) + upper p)) / 2, p = t / steps",
      reference: "Hsueh et al. 2019, arXiv:1806.01593; timm TanhLRScheduler",
      difference: "Same as timm, where lower is lb and upper is ub.",
      example: "tanh_decay(1, steps=100)",
      parameters: [
        .value, .steps("steps from value to floor"), .floor,
        Parameter("lower", .number, -7, from: -.infinity, "where the tangent begins"),
        Parameter("upper", .number, 3, from: -.infinity, "where it ends"),
      ])
  }

  let start, steps, floor, lower, upper: Double

  init(_ a: Arguments) throws(RavineError) {
    (start, steps, floor, lower, upper) = (
      a.number(0), a.number(1), a.number(2), a.number(3), a.number(4)
    )
    if lower >= upper {
      throw .recipe("tanh_decay: lower is \(lower), which is not below upper, which is \(upper)")
    }
  }

  func value(at t: Double) -> Double {
    if t >= steps { return floor }
    let p = t / steps
    return floor + (start - floor) * (0.5 * (1 - Math.tanh(lower * (1 - p) + upper * p)))
  }
}
