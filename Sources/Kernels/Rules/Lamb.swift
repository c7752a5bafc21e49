/// LAMB: Adam's step, scaled for each tensor to a share of its norm.
struct Lamb<T: Scalar>: MeasuringRule {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .rule, "lamb", "Adam with a trust ratio for each tensor, for large batches",
      formula: """
        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        u <- mhat / (sqrt(vhat) + eps) + weight_decay p
        p <- p - lr (|p| / |u|) u                the ratio is 1 if either norm is 0
        """,
      reference: "You et al. 2020, arXiv:1904.00962; optax.lamb",
      difference: """
        Same as optax.lamb. The ratio is not clamped (DeepSpeed clamps it to 0.01..10) and the \
        gradient not clipped (timm and the paper's code do: write clip_norm(1) | lamb).
        """,
      parameters: [.lr(1e-3), .beta1(0.9), .beta2(0.999), .eps(1e-6), .weightDecay(0)],
      slots: [
        Slot("m", of: .signed, "mean of gradients"),
        Slot("v", of: .positive, "mean of squared gradients"),
      ],
      measures: ["p", "u"], normalizes: true, moments: .adam)
  }
  #endif

  struct Hyper { var lr, beta1, beta2, eps, weightDecay: Double }
  struct State { var m, v: T.Lanes }
  struct Measures { var p, u: T.Lanes }
  static var zero: State { @inline(__always) get { State(m: .zero, v: .zero) } }
  static var squares: Int { @inline(__always) get { 2 } }

  let a1, b2, a2, scale1, rootScale2, eps, weightDecay: T
  let lr: Double
  var stepSize: T = 0

  init(_ h: Hyper, step t: Double) {
    a1 = T(1 - h.beta1)
    b2 = T(h.beta2)
    a2 = T(1 - h.beta2)
    scale1 = T(1 / biasCorrection(h.beta1, t))
    rootScale2 = T(1 / biasCorrection(h.beta2, t).squareRoot())
    eps = T(h.eps)
    weightDecay = T(h.weightDecay)
    lr = h.lr
  }

  @inline(__always)
  func direction(_ p: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    s.m += a1 * (g - s.m)
    s.v = b2 * s.v + a2 * g * g
    return scale1 * s.m / (squareRoot(s.v) * rootScale2 + eps) + weightDecay * p
  }

  @inline(__always)
  func measure(_ p: T.Lanes, _ g: T.Lanes, _ s: State) -> Measures {
    var s = s
    return Measures(p: p, u: direction(p, g, &s))
  }

  mutating func settle(_ sums: UnsafePointer<Double>) {
    let p = sums[0].squareRoot(), u = sums[1].squareRoot()
    stepSize = T(p == 0 || u == 0 ? lr : lr * (p / u))
  }

  @inline(__always)
  func apply(_ p: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    p - stepSize * direction(p, g, &s)
  }
}
