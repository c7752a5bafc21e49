/// ema: a second set of parameters that follows the first, averaged over steps.
struct Ema<T: Scalar>: UpdateStage {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .stage, "ema",
      "an average of the parameters over steps, kept beside them; stands behind the rule",
      formula: """
        d = min(decay, 1 - (1 + t)^-power)       (power = 0: decay)
        ema <- ema + w (p - ema)                 p: after the update; t counts the tensor's steps from 1
        start=debias: w = (1 - d) / (1 - d^t);   start=copy: w = 1 at t = 1, else 1 - d
        """,
      reference:
        "Polyak & Juditsky 1992; Tarvainen & Valpola 2017; torch AveragedModel; timm ModelEmaV3",
      difference: """
        start=copy is torch's get_ema_multi_avg_fn; start=debias is optax.ema(debias=True), kept in \
        corrected form so that it can be read at any step. power is timm's warm-up. The live \
        parameters are never replaced: read the average by name.
        """,
      parameters: [
        Parameter(
          "decay", .number, 0.999, to: 1, highOpen: true, "share of the average that is kept"),
        Parameter("power", .number, 0, to: 1, "warm-up of decay: 0 is none, 2/3 is timm's"),
        Parameter(
          "start", .word, 0, to: 1, words: ["debias", "copy"],
          "what corrects the first steps: a weight for each step, or a copy at the first"),
      ],
      slots: [Slot("ema", "the averaged parameters")])
  }
  #endif

  struct Hyper { var decay, power, start: Double }
  struct State { var ema: T.Lanes }
  static var zero: State { @inline(__always) get { State(ema: .zero) } }

  let weight: T
  let first: Bool

  init(_ h: Hyper, lr: Double, step t: Double) {
    let warm = h.power == 0 ? h.decay : 1 - Math.pow(1 + t, -h.power)
    let d = warm < h.decay ? warm : h.decay
    first = t == 1
    weight = T(h.start == 1 ? 1 - d : (1 - d) / biasCorrection(d, t))
  }

  @inline(__always)
  func apply(_ old: T.Lanes, _ new: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    s.ema = first ? new : s.ema + weight * (new - s.ema)
    return new
  }
}
