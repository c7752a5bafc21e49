import Kernels

/// piecewise: given values at given steps, constant between them or interpolated.
struct Piecewise: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "piecewise", "given values at given steps, constant or interpolated between them",
      formula: """
        constant: the last of values whose at <= t; value before the first
        linear, cosine: from value at 0 to values[0] at at[0], to values[1] at at[1], ...
        """,
      reference: """
        optax.piecewise_constant_schedule, optax.piecewise_interpolate_schedule; compat=keras: \
        keras.optimizers.schedules.PiecewiseConstantDecay
        """,
      difference: """
        Takes values, where optax takes factors of the value before. In Keras the old value still \
        holds at the boundary itself: compat=keras. torch's SWALR from value to swa_lr in N steps is \
        piecewise(value, at=(0, N), values=(value, swa_lr), shape=cosine).
        """,
      example: "piecewise(1, at=(30, 60), values=(0.3, 0.6), shape=linear)",
      parameters: [
        .value,
        Parameter("at", .list, nil, share: "total", "the steps of the values, in order"),
        Parameter("values", .list, nil, from: -.infinity, "the value at each of them"),
        Parameter(
          "shape", .word, 0, to: 2, words: ["constant", "linear", "cosine"],
          "what is between the values"),
        Parameter(
          "compat", .word, 0, to: 1, words: ["optax", "keras"],
          "which of the two constants holds at the boundary"),
      ])
  }

  let at, values: [Double]
  let shape: Int
  let keras: Bool

  init(_ a: Arguments) throws(RavineError) {
    (at, values, shape, keras) = (
      a.numbers(1), [a.number(0)] + a.numbers(2), a.word(3), a.flag(4)
    )
    if values.count != at.count + 1 {
      throw .recipe(
        "piecewise: at has \(at.count) steps and values \(values.count - 1) values, and each needs the other"
      )
    }
    try checkOrder(at, of: "piecewise")
  }

  func value(at t: Double) -> Double {
    var i = 0
    while i < at.count, keras && shape == 0 ? at[i] < t : at[i] <= t { i += 1 }
    if shape == 0 || i == at.count { return values[i] }
    let before = i == 0 ? 0 : at[i - 1]
    let p = (t - before) / (at[i] - before), from = values[i], to = values[i + 1]
    return shape == 1 ? from + (to - from) * p : to + (from - to) * (0.5 * (1 + Math.cos(.pi * p)))
  }
}
