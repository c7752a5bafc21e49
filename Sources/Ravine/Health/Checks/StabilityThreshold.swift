/// The largest eigenvalue of the Hessian with which a rule can descend: beyond it a quadratic diverges,
/// and full-batch training hovers there (Cohen et al. 2021, arXiv:2103.00065). For rules that scale
/// each element it is that of the preconditioned Hessian (Cohen et al. 2022, arXiv:2207.14484).
public enum Momentum: CaseIterable {
  /// m = beta m + g
  case heavyBall
  /// the same, and a step along g + beta m
  case nesterov
  /// m = beta m + (1 - beta) g, as in the Adam family
  case average

  public var name: StaticText {
    switch self {
    case .heavyBall: "heavy_ball"
    case .nesterov: "nesterov"
    case .average: "average"
    }
  }

  public static func named(_ name: Text) throws(RavineError) -> Momentum {
    var known: [Text] = []
    for momentum in allCases {
      if name == momentum.name { return momentum }
      known.append(Text(momentum.name))
    }
    throw .name(
      "no kind of momentum is named '\(name)'\(suggestion(for: name, among: known)); there are \(list(known))"
    )
  }

  public func threshold(lr: Double, beta: Double) throws(RavineError) -> Double {
    guard lr > 0, lr < .infinity else { throw .argument("lr is \(lr), but must be above 0") }
    guard beta >= 0, beta < 1 else { throw .argument("beta is \(beta); 0 to below 1 is allowed") }
    let heavy = 2 * (1 + beta) / lr
    switch self {
    case .heavyBall: return heavy
    case .nesterov: return heavy / (1 + 2 * beta)
    case .average: return heavy / (1 - beta)
    }
  }
}
