/// asam: sam in a neighbourhood that grows with the parameters.
struct Asam<T: Scalar>: MeasuringUpdate {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .stage, "asam", "as sam, in a neighbourhood that grows with the size of each parameter",
      formula: """
        w = |p| + eta (adaptive=false: 1)
        first call:  p' = p + rho w^2 g / (|w g| + 1e-12), with the norm over all tensors; no step
        second call: the rule steps from p, with the gradient at p'
        """,
      reference: "Kwon et al. 2021, arXiv:2102.11600; pytorch_optimizer.SAM(adaptive=True)",
      difference: """
        With eta=0 the same as pytorch_optimizer's; eta is that of the authors' code, which takes w = 1 \
        for biases: write *.bias: asam.adaptive=false. Otherwise as sam.
        """,
      parameters: [
        Parameter("rho", .number, 0.5, "how far: the radius of the neighbourhood"),
        Parameter("eta", .number, 0.01, "what is added to the size of each parameter"),
        Parameter("adaptive", .flag, 1, to: 1, "whether the neighbourhood hangs on the parameters"),
      ],
      slots: [Slot("origin", "the parameters before the first call")])
  }

  static func facts(_ h: Hyper) -> StageFacts { StageFacts(perturbs: true) }
  #endif

  struct Hyper { var rho, eta, adaptive: Double }
  typealias State = Sam<T>.State
  static var zero: State { @inline(__always) get { Sam<T>.zero } }
  typealias Measures = Sam<T>.Measures
  static var squares: Int { @inline(__always) get { Sam<T>.squares } }

  /// The table has the loops of sam for both, so this is all that there is in memory.
  private var sam: Sam<T>

  init(_ h: Hyper, lr squares: Double, step t: Double) {
    sam = Sam(rho: h.rho, eta: h.eta, adaptive: h.adaptive != 0, squares: squares)
  }

  func measure(_ old: T.Lanes, _ new: T.Lanes, _ g: T.Lanes) -> Measures {
    sam.measure(old, new, g)
  }

  mutating func settle(_ sums: UnsafePointer<Double>) -> Bool { sam.settle(sums) }

  func apply(_ old: T.Lanes, _ new: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    sam.apply(old, new, g, &s)
  }
}
