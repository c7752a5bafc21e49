import Kernels

/// mirror: a schedule backwards in time.
struct Mirrored: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "mirror", "a schedule backwards in time, alone or after it went forwards",
      formula: """
        reverse: s(max(0, steps - t))
        symmetric: s(t) for t < steps, then s(max(0, 2 steps - t))
        """,
      reference: "ParameterSchedulers.jl reverse and symmetric",
      difference: """
        steps is the length of one way; ParameterSchedulers.jl gives that of both for symmetric. \
        cycle(mirror(..., symmetric), steps=2 * steps) goes on.
        """,
      example: "mirror(polynomial(1, steps=50, power=2), steps=50, shape=symmetric)",
      parameters: [
        .schedule("what is mirrored"), .steps("how many of its steps"),
        Parameter(
          "shape", .word, 0, to: 1, words: ["reverse", "symmetric"],
          "backwards alone, or forwards and back"),
      ])
  }

  static func span(_ a: Arguments, inner: Double) -> Double {
    a.flag(2) ? 2 * a.number(1) : a.number(1)
  }

  let inner: Curve
  let steps: Double
  let symmetric: Bool

  init(_ a: Arguments) throws(RavineError) {
    (inner, steps, symmetric) = (a.curve(0), a.number(1), a.flag(2))
  }

  func value(at t: Double) throws(RavineError) -> Double {
    try inner(symmetric && t < steps ? t : max(0, (symmetric ? 2 * steps : steps) - t))
  }
}
