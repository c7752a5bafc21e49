/// sam: takes the gradient a little uphill, where the loss is worst nearby.
struct Sam<T: Scalar>: MeasuringUpdate {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .stage, "sam", "takes the gradient where the loss is worst nearby; two calls make a step",
      formula: """
        first call:  p' = p + rho g / (|g| + 1e-12), with the norm over all tensors; no step
        second call: the rule steps from p, with the gradient at p'
        """,
      reference: "Foret et al. 2020, arXiv:2010.01412; pytorch_optimizer.SAM",
      difference: """
        Same as pytorch_optimizer's. Parameters come back as they were, not by subtraction. Stages \
        before it see both gradients, those behind it the second. optax.contrib.sam also can step on \
        the way up: take those steps with another optimizer. Takes 4 bytes for each parameter (8 for F64).
        """,
      parameters: [Parameter("rho", .number, 0.05, "how far: the radius of the neighbourhood")],
      slots: [Slot("origin", "the parameters before the first call")])
  }

  static func facts(_ h: Hyper) -> StageFacts { StageFacts(perturbs: true) }
  #endif

  struct Hyper { var rho: Double }
  struct State { var origin: T.Lanes }
  static var zero: State { @inline(__always) get { State(origin: .zero) } }
  struct Measures { var g: T.Lanes }
  static var squares: Int { @inline(__always) get { 1 } }

  private let scale, eta: T
  private let adaptive: Bool

  init(_ h: Hyper, lr squares: Double, step t: Double) {
    self.init(rho: h.rho, eta: 0, adaptive: false, squares: squares)
  }

  /// `asam` is this with weights.
  init(rho: Double, eta: Double, adaptive: Bool, squares: Double) {
    scale = T(rho / (squares.squareRoot() + 1e-12))
    self.eta = T(eta)
    self.adaptive = adaptive
  }

  @inline(__always)
  private func weight(_ p: T.Lanes) -> T.Lanes {
    adaptive ? choose(p, greaterThan: .zero, p, else: -p) + eta : T.splat(1)
  }

  @inline(__always)
  func measure(_ old: T.Lanes, _ new: T.Lanes, _ g: T.Lanes) -> Measures {
    Measures(g: weight(old) * g)
  }

  mutating func settle(_ sums: UnsafePointer<Double>) -> Bool { true }

  @inline(__always)
  func apply(_ old: T.Lanes, _ new: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    s.origin = old
    let w = weight(old)
    return old + w * w * g * scale
  }
}
