/// Adam: steps along the mean of gradients, scaled by the root of the mean of their squares.
struct Adam<T: Scalar>: LaneRule {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .rule, "adam", "Adam, with coupled weight decay; AMSGrad as an option",
      formula: """
        g <- g + weight_decay p
        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        p <- p - lr mhat / (sqrt(vhat) + eps)    mhat = m / (1 - beta1^t), vhat = v / (1 - beta2^t)
        amsgrad: vhat from the maximum of v so far
        """,
      reference:
        "Kingma & Ba 2015, arXiv:1412.6980; Reddi et al. 2018 (AMSGrad); torch.optim.Adam",
      difference: """
        Same as torch.optim.Adam and optax.adam. AMSGrad: torch keeps the maximum of v \
        (compat=torch), optax that of vhat (compat=optax). Keras puts eps beside sqrt(v) before \
        the correction; so does torch.optim.SparseAdam, which is otherwise this rule on rows.
        """,
      parameters: [
        .lr(1e-3), .beta1(0.9), .beta2(0.999), .eps(1e-8), .weightDecayCoupled(0), .amsgrad,
        .compat(["torch", "optax"], "whose AMSGrad: the maximum of v, or of vhat"),
      ],
      slots: AdamState<T>.slots, normalizes: true, moments: .adam)
  }
  #endif

  struct Hyper { var lr, beta1, beta2, eps, weightDecay, amsgrad, compat: Double }
  typealias State = AdamState<T>
  static var zero: State { @inline(__always) get { State.zero } }

  let moments: AdamMoments<T>
  let stepSize, coupled: T

  init(_ h: Hyper, step t: Double) {
    moments = AdamMoments(
      h.beta1, h.beta2, h.eps, amsgrad: h.amsgrad != 0, corrected: h.compat != 0, step: t)
    stepSize = T(h.lr / moments.correction1)
    coupled = T(h.weightDecay)
  }

  @inline(__always)
  func apply(_ p: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    let d = moments.update(&s, g + coupled * p)
    return p - stepSize * s.m / d
  }
}

/// What the Adam family remembers.
struct AdamState<T: Scalar> {
  var m, v, vmax: T.Lanes
  @inline(__always)
  static var zero: Self { Self(m: .zero, v: .zero, vmax: .zero) }
  #if BASELINE
  static var slots: [Slot] {
    [
      Slot("m", of: .signed, "mean of gradients"),
      Slot("v", of: .positive, "mean of squared gradients"),
      Slot("vmax", of: .positive, when: "amsgrad", "maximum of v so far"),
    ]
  }
  #endif
}

/// The two means of the Adam family and the denominator made from them.
struct AdamMoments<T: Scalar> {
  let a1, b2, a2, rootScale, scale, eps: T
  let amsgrad, corrected: Bool
  /// 1 - beta1^t, for the rule's step size.
  let correction1: Double

  init(
    _ beta1: Double, _ beta2: Double, _ eps: Double, amsgrad: Bool, corrected: Bool, step t: Double
  ) {
    let correction2 = biasCorrection(beta2, t)
    correction1 = biasCorrection(beta1, t)
    a1 = T(1 - beta1)
    b2 = T(beta2)
    a2 = T(1 - beta2)
    rootScale = T(1 / correction2.squareRoot())
    scale = T(1 / correction2)
    self.eps = T(eps)
    self.amsgrad = amsgrad
    self.corrected = corrected
  }

  /// Takes in g, and returns sqrt(vhat) + eps.
  @inline(__always)
  func update(_ s: inout AdamState<T>, _ g: T.Lanes) -> T.Lanes {
    s.m += a1 * (g - s.m)
    s.v = b2 * s.v + a2 * g * g
    guard amsgrad else { return squareRoot(s.v) * rootScale + eps }
    if corrected {
      s.vmax = maximum(s.vmax, scale * s.v)
      return squareRoot(s.vmax) + eps
    }
    s.vmax = maximum(s.vmax, s.v)
    return squareRoot(s.vmax) * rootScale + eps
  }
}
