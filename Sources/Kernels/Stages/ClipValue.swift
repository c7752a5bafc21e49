/// clip_value: limits each element of the gradient by itself.
struct ClipValue<T: Scalar>: DeclaredStage {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .stage, "clip_value", "limits each element of the gradient to -max..max",
      formula: "g <- min(max(g, -max), max)",
      reference: "torch.nn.utils.clip_grad_value_; optax.clip",
      difference: "Same as both. NaN stays NaN.",
      parameters: [
        Parameter(
          "max", .number, nil, lowOpen: true, highOpen: false, "the largest magnitude that passes"
        )
      ])
  }

  static func facts(_ h: Hyper) -> StageFacts { StageFacts(transforms: true, clips: true) }
  #endif

  struct Hyper { var max: Double }
  let low, high: T

  init(_ h: Hyper, step t: Double) {
    high = T(h.max)
    low = 0 - high
  }

  @inline(__always)
  func transform(_ g: T.Lanes, _ p: T.Lanes) -> T.Lanes {
    let x = choose(T.splat(low), greaterThan: g, T.splat(low), else: g)
    return choose(g, greaterThan: T.splat(high), T.splat(high), else: x)
  }
}
