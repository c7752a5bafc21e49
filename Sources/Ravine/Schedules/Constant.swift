import Kernels

/// constant: always the same value.
struct Constant: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "constant", "always the same value", formula: "value",
      reference: "optax.constant_schedule",
      difference: """
        None. A plain number in a recipe means the same. torch's ConstantLR is \
        piecewise(factor * value, at=(N,), values=(value,)).
        """,
      example: "constant(1)",
      parameters: [.value])
  }

  let constant: Double
  init(_ a: Arguments) throws(RavineError) { constant = a.number(0) }
  func value(at t: Double) -> Double { constant }
}
