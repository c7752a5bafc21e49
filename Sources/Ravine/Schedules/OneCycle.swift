import Kernels

/// one_cycle: up to a peak and down to almost nothing.
struct OneCycle: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "one_cycle", "up from value / div to value, and down to almost nothing",
      formula: """
        from value / div at 0 to value at warmup steps - 1 to value / div / final_div at steps - 1
        three_phase: back to value / div at 2 (warmup steps - 1) between them
        compat=optax: value at floor(warmup steps), the last at steps
        """,
      reference: """
        Smith & Topin 2018, arXiv:1708.07120; torch OneCycleLR; compat=optax: \
        optax.cosine_onecycle_schedule
        """,
      difference: """
        Past the end this holds its last value; torch takes one step more and rises. Momentum goes \
        the other way with a div below 1: from 0.95 to 0.85 and back is \
        one_cycle(0.85, steps=N, div=0.8947368421052632, final_div=1). optax.linear_onecycle_schedule \
        is piecewise(shape=linear).
        """,
      example: "one_cycle(1, steps=100)",
      parameters: [
        Parameter("value", .number, nil, from: -.infinity, "the peak"),
        .steps("all steps"),
        Parameter("warmup", .number, 0.3, to: 1, highOpen: false, "share of the steps that rises"),
        Parameter("div", .number, 25, lowOpen: true, "the first value is value / div"),
        Parameter("final_div", .number, 1e4, lowOpen: true, "the last is the first / final_div"),
        Parameter(
          "shape", .word, 0, to: 1, words: ["cosine", "linear"], "what is between the values"),
        Parameter("three_phase", .flag, 0, to: 1, "fall as long as it rose, then to the last"),
        Parameter(
          "compat", .word, 1, to: 1, words: ["optax", "torch"], "whose step the peak is at"),
      ])
  }

  let values: InlineArray<4, Double>
  let ends: InlineArray<3, Double>
  let linear: Bool

  init(_ a: Arguments) throws(RavineError) {
    let peak = a.number(0), steps = a.number(1), warmup = a.number(2)
    let start = peak / a.number(3), end = start / a.number(4)
    let three = a.flag(6), torch = a.flag(7)
    linear = a.flag(5)
    if three, !torch {
      throw .recipe("one_cycle: optax has no three_phase; leave one of the two")
    }
    if three, 2 * warmup > 1 {
      throw .recipe(
        "one_cycle: warmup is \(warmup), and three_phase falls as long; 0.5 is the most")
    }
    let top = torch ? warmup * steps - 1 : (warmup * steps).rounded(.down)
    let last = torch ? steps - 1 : steps
    values = three ? [start, peak, start, end] : [start, peak, end, end]
    ends = three ? [top, 2 * warmup * steps - 2, last] : [top, last, last]
  }

  func value(at t: Double) -> Double {
    var before = 0.0
    for i in 0..<3 {
      if t <= ends[i] {
        let length = ends[i] - before
        return between(values[i], values[i + 1], length > 0 ? (t - before) / length : 1)
      }
      before = ends[i]
    }
    return values[3]
  }

  private func between(_ from: Double, _ to: Double, _ p: Double) -> Double {
    linear ? from + (to - from) * p : to + (from - to) * (0.5 * (1 + Math.cos(.pi * p)))
  }
}
