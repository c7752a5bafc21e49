import Kernels

/// cosine: half a cosine from a value down to a floor.
struct Cosine: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "cosine", "half a cosine from value to floor, then floor",
      formula: "floor + (value - floor) ((1 + cos(pi min(t, steps) / steps)) / 2)^exponent",
      reference: """
        Loshchilov & Hutter 2017, arXiv:1608.03983; optax.cosine_decay_schedule; compat=torch: \
        CosineAnnealingLR
        """,
      difference: """
        Past its end this holds the floor, as optax and Keras do; torch and transformers rise again: \
        compat=torch. transformers' cosine_warmup_with_min_lr has no warm-up of its own step: after it stands \
        shift(cosine(..., compat=torch), steps=-1).
        """,
      example: "cosine(1, steps=100, floor=0.1)",
      parameters: [
        .value, .steps("steps from value to floor"), .floor,
        Parameter("exponent", .number, 1, lowOpen: true, "power of the falling half cosine"),
        Parameter(
          "compat", .word, 0, to: 1, words: ["optax", "torch"], "who says what is past the end"),
      ])
  }

  let start, steps, floor, exponent: Double
  let oscillates: Bool

  init(_ a: Arguments) throws(RavineError) {
    (start, steps, floor, exponent, oscillates) = (
      a.number(0), a.number(1), a.number(2), a.number(3), a.flag(4)
    )
  }

  func value(at t: Double) -> Double {
    if t >= steps, !oscillates { return floor }
    let fallen = 0.5 * (1 + Math.cos(.pi * (t / steps)))
    return floor + (start - floor) * (exponent == 1 ? fallen : Math.pow(fallen, exponent))
  }
}
