import Kernels

/// over: a schedule over a stated number of steps.
struct Over: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "over", "a schedule over a stated number of steps, of which it may take shares",
      formula: """
        s(t) for t < steps, and from there hold: s(steps), repeat: s(t mod steps), error: no value
        """,
      reference: "transformers warmup_ratio, for any schedule",
      difference: """
        Inside, lengths and boundaries in steps may be shares: \
        over(10k, warmup(cosine(0.1, steps=95%), steps=5%)). A share becomes the nearest whole \
        number; transformers rounds up. No warm-up inside may be longer than steps. Past the end \
        with past=error a step fails and changes nothing; rvn_schedule_values gives NaN.
        """,
      example: "over(100, warmup(cosine(1, steps=80%), steps=20%))",
      parameters: [
        .steps("how many steps there are"), .schedule("what runs over them"),
        Parameter(
          "past", .word, 0, to: 2, words: ["hold", "error", "repeat"], "what comes after them"),
      ])
  }

  static func total(_ values: [Value], _ outer: Double?) -> Double? { values[0].constant }

  static func span(_ a: Arguments, inner: Double) -> Double {
    a.word(2) == 2 ? 3 * a.number(0) : a.number(0)
  }

  let inner: Curve
  let steps: Double
  let past: Int

  init(_ a: Arguments) throws(RavineError) {
    (steps, inner, past) = (a.number(0), a.curve(1), a.word(2))
  }

  func value(at t: Double) throws(RavineError) -> Double {
    if t < steps { return try inner(t) }
    if past == 1 { return .nan }
    return try inner(past == 0 ? steps : place(of: t, inCyclesOf: steps))
  }
}
