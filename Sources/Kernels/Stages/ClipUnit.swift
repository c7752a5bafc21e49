/// clip_unit: limits the gradient of each unit to a share of the size of its parameters (AGC).
struct ClipUnit<T: Scalar>: DeclaredStage {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .stage, "clip_unit", "limits each unit's gradient to a share of its parameters' norm (AGC)",
      formula: """
        for each unit: g <- g min(1, factor max(|p|, eps) / max(|g|, 1e-6))
        """,
      reference:
        "Brock et al. 2021, arXiv:2102.06171; timm adaptive_clip_grad; optax.adaptive_grad_clip",
      difference: """
        A unit is what shares a place on one axis: the first, as timm has it (weights are [out, in, ...]), \
        or the last, as optax has it ([..., in, out]). A vector or a single number is one unit, as in both.
        """,
      parameters: [
        Parameter("factor", .number, 0.01, lowOpen: true, "largest share that passes unscaled"),
        Parameter("eps", .number, 1e-3, "least norm of parameters: units that are 0 can move"),
        .axis,
      ])
  }

  static func facts(_ h: Hyper) -> StageFacts {
    StageFacts(
      transforms: true, units: Units(columns: h.axis == 1, vectors: true), clips: true)
  }

  static func change(_ h: Hyper, _ s: UnitSums) -> UnitChange {
    let p = s.parameterSquares.squareRoot(), g = s.squares.squareRoot()
    let most = h.factor * (p > h.eps ? p : h.eps)
    return UnitChange(shift: 0, scale: g > most ? most / (g > 1e-6 ? g : 1e-6) : 1)
  }
  #endif

  struct Hyper { var factor, eps, axis: Double }

  init(_ h: Hyper, step t: Double) {}
}
