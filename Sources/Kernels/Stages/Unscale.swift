/// unscale: takes a loss scale out of the gradient again, and finds the scale.
struct Unscale<T: Scalar>: DeclaredStage {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .stage, "unscale",
      "divides the gradient by the loss scale; skips the step where it overflowed",
      formula: """
        g <- g / scale
        where any element is not finite: no step; after `hysteresis` such calls in a row of growth,
          scale <- max(scale backoff, floor)
        after `interval` calls without one: scale <- scale growth
        """,
      reference: """
        Micikevicius et al. 2018, arXiv:1710.03740; torch.amp.GradScaler; DeepSpeed's DynamicLossScaler
        """,
      difference: """
        Same as torch.amp.GradScaler, whose hysteresis is 1 and floor 0; the two are DeepSpeed's. The \
        caller multiplies its loss by the scale, which rvn_optimizer_get tells as "unscale.scale". \
        dynamic=false keeps the scale, and looks for nothing: put finite_guard behind it.
        """,
      parameters: [
        Parameter(
          "scale", .number, 65536, lowOpen: true, "what the loss is multiplied by at first"),
        Parameter("dynamic", .flag, 1, to: 1, "whether the scale is changed"),
        Parameter(
          "growth", .number, 2, lowOpen: true, "factor after interval calls without overflow"),
        Parameter("backoff", .number, 0.5, to: 1, lowOpen: true, "factor after an overflow"),
        Parameter("interval", .count, 2000, from: 1, to: 1e15, "calls without overflow to growth"),
        Parameter("hysteresis", .count, 1, from: 1, to: 1e15, "overflows to a backoff"),
        Parameter("floor", .number, 0, "least scale"),
      ],
      scalars: [
        Slot("scale", initial: "scale", "the loss scale in the next call"),
        Slot("good", "calls without overflow since the last change"),
        Slot("left", initial: "hysteresis", "overflows that are still to come before a backoff"),
      ])
  }

  static func facts(_ h: Hyper) -> StageFacts {
    h.dynamic == 0
      ? StageFacts(scales: true, factor: 1 / h.scale, prepares: true)
      : StageFacts(measures: .nonfinite, scales: true, prepares: true)
  }

  static func conclude(
    _ h: Hyper, _ measured: Double, _ scalars: UnsafeMutablePointer<Double>
  ) -> Verdict {
    let scale = scalars[0]
    if measured == 0 {
      scalars[1] += 1
      if scalars[1] < h.interval { return .scale(1 / scale) }
      // torch, too, keeps a scale that would not be finite in Float32.
      let grown = scale * h.growth
      scalars[0] = grown <= Double(Float.greatestFiniteMagnitude) ? grown : scale
      scalars[1] = 0
      scalars[2] = h.hysteresis
      return .scale(1 / scale)
    }
    scalars[1] = 0
    scalars[2] -= 1
    if scalars[2] <= 0 {
      let less = scale * h.backoff
      scalars[0] = less > h.floor ? less : h.floor > 0 ? h.floor : scale
      scalars[2] = 1
    }
    return .skip
  }
  #endif

  struct Hyper { var scale, dynamic, growth, backoff, interval, hysteresis, floor: Double }

  init(_ h: Hyper, step t: Double) {}
}
