import Kernels

/// k_decay: a cosine or a polynomial of a power of the time.
struct KDecay: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "k_decay", "a cosine or a polynomial of a power of the time, then floor",
      formula: """
        p = (t / steps)^k
        cosine: floor + (value - floor) (1 + cos(pi p)) / 2
        polynomial: floor + (value - floor) (1 - p)^power
        """,
      reference: "Zhang & Li 2020, arXiv:2004.05909; timm CosineLRScheduler, PolyLRScheduler",
      difference: "Same as timm, whose power is 0.5 by default. k=1 is cosine and polynomial.",
      example: "k_decay(1, steps=100, k=2)",
      parameters: [
        .value, .steps("steps from value to floor"),
        Parameter("k", .number, 1.5, lowOpen: true, "above 1 it stays high for longer"), .floor,
        Parameter(
          "shape", .word, 0, to: 1, words: ["cosine", "polynomial"], "what falls with p"),
        Parameter("power", .number, 1, lowOpen: true, "of the polynomial"),
      ])
  }

  let start, steps, k, floor, power: Double
  let polynomial: Bool

  init(_ a: Arguments) throws(RavineError) {
    (start, steps, k, floor, polynomial, power) = (
      a.number(0), a.number(1), a.number(2), a.number(3), a.flag(4), a.number(5)
    )
  }

  func value(at t: Double) -> Double {
    if t >= steps { return floor }
    let p = Math.pow(t / steps, k)
    return floor + (start - floor)
      * (polynomial ? Math.pow(1 - p, power) : 0.5 * (1 + Math.cos(.pi * p)))
  }
}
