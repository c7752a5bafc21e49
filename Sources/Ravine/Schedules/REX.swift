import Kernels

/// rex: falls slowly at first and fast in the end.
struct REX: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "rex", "from value to floor, slowly at first and fast in the end, then floor",
      formula: "floor + (value - floor) (1 - p) / (1 - p / 2), p = min(t, steps) / steps",
      reference: "Chen et al. 2022, arXiv:2107.04197; pytorch_optimizer REXScheduler",
      difference: "Same, without the scheduler's writing one rate into all groups.",
      example: "rex(1, steps=100)",
      parameters: [.value, .steps("steps from value to floor"), .floor])
  }

  let start, steps, floor: Double

  init(_ a: Arguments) throws(RavineError) {
    (start, steps, floor) = (a.number(0), a.number(1), a.number(2))
  }

  func value(at t: Double) -> Double {
    let p = t / steps
    return p >= 1 ? floor : floor + (start - floor) * ((1 - p) / (1 - p / 2))
  }
}
