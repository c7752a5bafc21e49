import Kernels

/// greedy: a schedule, raised while a metric gets better and cut while it does not.
struct Greedy: Reactive {
  static var declaration: Declaration {
    Declaration(
      .schedule, "greedy",
      "a schedule, raised while a metric gets better and cut while it does not",
      formula: """
        scale s(t), where the scale begins at 1, and becomes
        min(scale / factor, ceiling) after more than patience metrics in a row that were better,
        max(factor scale, floor) after more than patience that were not; better as in plateau
        """,
      reference: "GreedyLR: arXiv:2512.14527; transformers.optimization.GreedyLR",
      difference: """
        floor, ceiling and eps are of the scale; those of transformers are of the rate, 0.001, 1 and \
        1e-8. Its smooth with window_size is window. Its running sum keeps a NaN for ever, and what a \
        spike rounded away; here each average is added up anew, and a metric that is NaN or infinite \
        enters none and is not better. reset counts cuts at the floor, as its reset_start does, and \
        not metrics.
        """,
      example: "greedy(cosine(1, steps=100))",
      parameters: [
        .schedule("what is raised and cut"),
        .factor(0.95, "what a cut multiplies by, and a rise divides by"), .patience,
        Parameter("cooldown", .count, 0, to: 1e15, "metrics after a cut that do not count"),
        Parameter("warmup", .count, 0, to: 1e15, "metrics after a rise that do not count"),
        Parameter("floor", .number, 0.01, to: 1, "the least scale"),
        Parameter("ceiling", .number, 10, from: 1, "the largest scale"), .mode, .rtol(0),
        .atol(1e-6), .window, .average, .eps,
        Parameter(
          "reset", .number, 500, from: 1, highOpen: false,
          "after so many cuts at the floor it begins anew"),
      ],
      slots: [
        Slot("scale", "what the schedule is multiplied by"), Slot("best", "the best metric"),
        Slot("bad", "how many metrics in a row were not better"),
        Slot("good", "how many were better"),
        Slot("cooling", "how many more metrics after a cut do not count"),
        Slot("warming", "how many more metrics after a rise do not count"),
        Slot("stuck", "how many cuts there were at the floor"),
      ])
  }

  struct State {
    var scale = 1.0
    var best: Double
    var bad = 0.0
    var good = 0.0
    var cooling = 0.0
    var warming = 0.0
    var stuck = 0.0
  }

  let inner: Curve
  let factor, patience, cooldown, warmup, floor, ceiling, eps, reset: Double
  let improvement: Improvement
  let average: Average

  init(_ a: Arguments) throws(RavineError) {
    (inner, factor, patience) = (a.curve(0), a.number(1), a.number(2))
    (cooldown, warmup) = (a.number(3), a.number(4))
    (floor, ceiling, eps, reset) = (a.number(5), a.number(6), a.number(12), a.number(13))
    improvement = Improvement(maximizing: a.flag(7), rtol: a.number(8), atol: a.number(9))
    average = Average(a.word(11), window: a.number(10))
  }

  func value(at t: Double) throws(RavineError) -> Double { try inner(t) }

  var start: State { State(best: improvement.worst) }

  func react(_ s: inout State, to metric: Double) -> Bool {
    guard s.cooling == 0, s.warming == 0 else {
      if s.cooling > 0 { s.cooling -= 1 } else { s.warming -= 1 }
      (s.bad, s.good) = (0, 0)
      return false
    }
    if improvement.holds(metric, over: s.best) {
      (s.best, s.bad, s.good) = (metric, 0, s.good + 1)
    } else {
      (s.bad, s.good) = (s.bad + 1, 0)
    }
    if s.good > patience {
      let next = min(s.scale / factor, ceiling)
      if next - s.scale > eps { s.scale = next }
      (s.good, s.warming, s.stuck) = (0, warmup, 0)
    } else if s.bad > patience {
      return cut(&s)
    }
    return false
  }

  private func cut(_ s: inout State) -> Bool {
    let next = max(s.scale * factor, floor)
    if s.scale - next > eps { s.scale = next }
    if s.scale <= floor { s.stuck += 1 }
    let anew = s.stuck >= reset
    if anew { s = start }
    (s.bad, s.cooling) = (0, cooldown)
    return anew
  }
}
