import Kernels

/// plateau: a schedule, cut each time that a metric stops getting better.
struct Plateau: Reactive {
  static var declaration: Declaration {
    Declaration(
      .schedule, "plateau", "a schedule, cut each time that a metric stops getting better",
      formula: """
        scale s(t), where the scale begins at 1, and after more than patience metrics in a row that
        were not better it becomes max(factor scale, floor)
        min: better is below best - rtol |best| - atol; max: above best + rtol |best| + atol
        """,
      reference: """
        torch.optim.lr_scheduler.ReduceLROnPlateau; compat=keras: keras.callbacks.ReduceLROnPlateau; \
        compat=optax: optax.contrib.reduce_on_plateau
        """,
      difference: """
        Metrics come from rvn_optimizer_metric, and the scale multiplies any schedule: warmup and \
        sequence go around it or into it. floor and eps are of the scale: those of torch and Keras, \
        which are of the rate, divided by it; clamp gives a floor to the rate. torch's \
        threshold_mode=abs is rtol=0, atol=threshold; Keras' min_delta is atol. keras and optax cut \
        after patience metrics and not after one more, and the last metric of Keras' cooldown \
        counts. optax's accumulation_size is window with average=block. Of a negative best metric \
        torch's relative threshold takes what is worse for better. optax with patience=0 cuts where \
        the metric gets better; here, as in Keras, that is patience=1. A metric that is NaN or \
        infinite is not better, and enters no average.
        """,
      example: "plateau(cosine(1, steps=100), patience=5)",
      parameters: [
        .schedule("what is cut"), .factor(0.1, "what each cut multiplies by"), .patience,
        Parameter("cooldown", .count, 0, to: 1e15, "metrics after a cut that do not count"),
        Parameter("floor", .number, 0, to: 1, "the least scale"), .mode, .rtol(1e-4), .atol(0),
        .window, .average, .eps,
        Parameter(
          "compat", .word, 0, to: 2, words: ["torch", "keras", "optax"],
          "how patience and cooldown are counted"),
      ],
      slots: [
        Slot("scale", "what the schedule is multiplied by"), Slot("best", "the best metric"),
        Slot("bad", "how many metrics in a row were not better"),
        Slot("waiting", "how many more metrics do not count"),
      ])
  }

  struct State {
    var scale = 1.0
    var best: Double
    var bad = 0.0
    var waiting = 0.0
  }

  let inner: Curve
  let factor, cooldown, floor, eps, limit: Double
  let keras: Bool
  let improvement: Improvement
  let average: Average

  init(_ a: Arguments) throws(RavineError) {
    (inner, factor, cooldown, floor) = (a.curve(0), a.number(1), a.number(3), a.number(4))
    keras = a.word(11) == 1
    limit = a.word(11) == 0 ? a.number(2) + 1 : max(1, a.number(2))
    improvement = Improvement(
      maximizing: a.flag(5), rtol: a.number(6), atol: a.number(7), onMetric: keras)
    average = Average(a.word(9), window: a.number(8))
    eps = a.number(10)
  }

  func value(at t: Double) throws(RavineError) -> Double { try inner(t) }

  var start: State { State(best: improvement.worst) }

  func react(_ s: inout State, to metric: Double) -> Bool {
    let cooling = s.waiting > (keras ? 1 : 0)
    s.waiting = max(0, s.waiting - 1)
    if improvement.holds(metric, over: s.best) {
      (s.best, s.bad) = (metric, 0)
    } else {
      s.bad = cooling ? 0 : s.bad + 1
    }
    if s.bad < limit { return false }
    let next = max(s.scale * factor, floor)
    if s.scale - next > eps { s.scale = next }
    (s.bad, s.waiting) = (0, cooldown)
    return false
  }
}
