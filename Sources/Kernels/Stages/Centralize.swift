/// centralize: takes the mean out of the gradient of each unit.
struct Centralize<T: Scalar>: DeclaredStage {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .stage, "centralize", "takes the mean out of each unit's gradient",
      formula: "for each unit of a tensor of two axes or more: g <- g - mean(g)",
      reference: "Yong et al. 2020, arXiv:2004.01461; optax.centralize",
      difference: """
        A unit is what shares a place on the first axis, as in the paper's code and in optax; axis=last is \
        for weights that are [..., in, out]. Vectors and single numbers are left alone, as in both.
        """,
      parameters: [.axis])
  }

  static func facts(_ h: Hyper) -> StageFacts {
    StageFacts(transforms: true, units: Units(columns: h.axis == 1, vectors: false))
  }

  static func change(_ h: Hyper, _ s: UnitSums) -> UnitChange {
    UnitChange(shift: s.values / s.count, scale: 1)
  }
  #endif

  struct Hyper { var axis: Double }

  init(_ h: Hyper, step t: Double) {}
}
