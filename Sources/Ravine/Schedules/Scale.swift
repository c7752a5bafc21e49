import Kernels

/// scale: a schedule times a number.
struct Scale: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "scale", "a schedule times a number", formula: "factor s(t)",
      reference: "the product with a number",
      difference: "None. product multiplies schedules by each other.",
      example: "scale(cosine(1, steps=100), factor=0.5)",
      parameters: [
        .schedule("what is multiplied"),
        Parameter("factor", .number, nil, from: -.infinity, "what it is multiplied by"),
      ])
  }

  let inner: Curve
  let factor: Double
  init(_ a: Arguments) throws(RavineError) { (inner, factor) = (a.curve(0), a.number(1)) }
  func value(at t: Double) throws(RavineError) -> Double { try factor * inner(t) }
}
