import Kernels

/// full: a constant; `constant` is the schedule.
struct Full: Initializer {
  static var declaration: Declaration {
    Declaration(
      .initializer, "full", "the same number everywhere", formula: "p = value",
      reference: "torch.nn.init.constant_, keras.initializers.Constant, numpy.full",
      difference: "The name is numpy's: constant is the schedule.",
      parameters: [Parameter("value", .number, nil, from: -.infinity, "the number")])
  }

  let value: Double

  init(_ a: Arguments) throws(RavineError) { value = a.number(0) }
  func fill(_ target: Target) throws(RavineError) -> Fill { constantFill(value) }
}
