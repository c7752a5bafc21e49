/// cautious: leaves out what of an update goes against the gradient.
struct Cautious<T: Scalar>: MeasuringUpdate {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .stage, "cautious", "updates only where the step agrees with the gradient; behind the rule",
      formula: """
        u = p - p'                               p' is what the rule made of p
        k = how many elements of the tensor have u g > 0, of n
        p <- p - u n / k  where u g > 0, else p stays
        compat=timm: n / max(k, 0.001 n);  compat=paper: n / (k + 1)
        """,
      reference: "Liang et al. 2024, arXiv:2411.16085; timm (caution=True)",
      difference: """
        timm masks before weight decay is applied, and this stage sees the whole step of the rule: \
        write adamw(weight_decay=0) | cautious | decay(0.01) for timm's order. Costs a pass over memory.
        """,
      parameters: [
        .compat(["timm", "paper"], "how the step is scaled up for what is left out")
      ])
  }

  static func facts(_ h: Hyper) -> StageFacts { StageFacts(follows: true, settles: true) }
  #endif

  struct Hyper { var compat: Double }
  typealias State = Void
  static var zero: State { @inline(__always) get { () } }
  struct Measures { var agree, all: T.Lanes }
  static var squares: Int { @inline(__always) get { 0 } }

  let paper: Bool
  var scale: T = 1

  init(_ h: Hyper, lr: Double, step t: Double) { paper = h.compat == 1 }

  @inline(__always)
  func measure(_ old: T.Lanes, _ new: T.Lanes, _ g: T.Lanes) -> Measures {
    let one = T.splat(1)
    return Measures(
      agree: choose((old - new) * g, greaterThan: .zero, one, else: .zero), all: one)
  }

  mutating func settle(_ sums: UnsafePointer<Double>) -> Bool {
    let agree = sums[0], all = sums[1]
    let floor = 0.001 * all
    scale = T(paper ? all / (agree + 1) : all / (agree > floor ? agree : floor))
    return true
  }

  @inline(__always)
  func apply(_ old: T.Lanes, _ new: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    let u = old - new
    return choose(u * g, greaterThan: .zero, old - scale * u, else: old)
  }
}
