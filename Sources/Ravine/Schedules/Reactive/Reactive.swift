import Kernels

/// A schedule that a metric moves: a scale, which is state of the handle, times another schedule,
/// which is the pure function of the step that `value(at:)` gives.
protocol Reactive: Schedule {
  /// The state, in the order of the declaration's slots: `scale`, `best`, `bad` and what else it
  /// counts.
  associatedtype State: BitwiseCopyable
  /// The state before the first metric.
  var start: State { get }
  var average: Average { get }
  /// Answers a metric, NaN where it was not finite. Returns whether the average begins anew, too.
  func react(_ state: inout State, to metric: Double) -> Bool
}

/// How a reactive schedule answers, without its type.
struct Reflex {
  let average: Average
  let start: (UnsafeMutableRawPointer) -> Void
  let react: (UnsafeMutableRawPointer, Double) -> Bool
}

func reflex<S: Reactive>(_: S.Type) -> (Arguments) throws(RavineError) -> Reflex {
  { (a: Arguments) throws(RavineError) -> Reflex in
    let schedule = try S(a)
    return Reflex(
      average: schedule.average,
      start: { $0.storeBytes(of: schedule.start, as: S.State.self) },
      react: { schedule.react(&$0.assumingMemoryBound(to: S.State.self).pointee, to: $1) })
  }
}

/// What counts as better than the best so far.
struct Improvement {
  let maximizing: Bool
  let rtol, atol: Double
  /// Keras adds the threshold to the metric, which rounds otherwise.
  var onMetric = false

  var worst: Double { maximizing ? -.infinity : .infinity }

  /// False for NaN. The relative part is of the best value's magnitude, whatever its sign.
  func holds(_ x: Double, over best: Double) -> Bool {
    let sign = maximizing == (best >= 0) ? 1.0 : -1.0
    let bound = best * (1 + sign * rtol)
    if onMetric { return maximizing ? x - atol > bound : x + atol < bound }
    return maximizing ? x > bound + atol : x < bound - atol
  }
}

extension Parameter {
  static func factor(_ initial: Double, _ summary: StaticText) -> Parameter {
    Parameter("factor", .number, initial, to: 1, lowOpen: true, highOpen: true, summary)
  }
  static var patience: Parameter {
    Parameter("patience", .count, 10, to: 1e15, "how many metrics in a row it waits for")
  }
  static var mode: Parameter {
    Parameter("mode", .word, 0, to: 1, words: ["min", "max"], "which metrics are better")
  }
  static func rtol(_ initial: Double) -> Parameter {
    Parameter(
      "rtol", .number, initial, to: 1, highOpen: true,
      "better by less than this share is not better")
  }
  static func atol(_ initial: Double) -> Parameter {
    Parameter("atol", .number, initial, "better by less than this is not better; both add up")
  }
  static var window: Parameter {
    Parameter(
      "window", .count, 1, from: 1, to: 4096, "metrics that are averaged; 1: each by itself")
  }
  static var average: Parameter {
    Parameter(
      "average", .word, 0, to: 2, words: ["moving", "block", "exponential"],
      "of the last window, of each window once, or with weight 1 / window for the newest")
  }
  static var eps: Parameter {
    Parameter("eps", .number, 0, "a change of the scale by no more than this is not made")
  }
}
