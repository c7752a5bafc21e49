/// Sophia: the mean of gradients over that of curvature, each element clipped.
struct Sophia<T: Scalar>: LaneRule {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .rule, "sophia", "the mean of gradients over that of curvature, each element clipped",
      formula: """
        at each estimate of the Hessian's diagonal:  h <- beta2 h + (1 - beta2) estimate
        m <- beta1 m + (1 - beta1) g
        u <- clip(mhat / max(gamma h, eps), -clip_threshold, clip_threshold)
        p <- p - lr (u + weight_decay p)    mhat = m / (1 - beta1^t) with bias_correction, else m
        """,
      reference:
        "Liu et al. 2023, arXiv:2305.14342; optax.contrib.sophia; pytorch_optimizer.SophiaH",
      difference: """
        Same as optax.contrib.sophia, which estimates at steps 1, 11, 21, ... and uses that from the next \
        step on; here the caller says when (rvn_optimizer_curvature; the paper: before every 10th step), \
        and the step behind it uses it, as in the paper. The paper and pytorch_optimizer do not correct m: \
        bias_correction=false; the latter has no gamma, and its p is clip_threshold: gamma=1, eps=1e-12. \
        Sophia-G gives its Gauss-Newton-Bartlett estimate as the diagonal; the authors' code then has rho \
        times the batch's size in place of gamma.
        """,
      parameters: [
        .lr(1e-4), .beta1(0.965), .beta2(0.99, "decay of the mean of curvature"),
        Parameter(
          "eps", .number, 1e-8, lowOpen: true,
          "the least denominator: where gamma h is below it, also where h is negative"),
        .weightDecay(1e-4),
        Parameter("gamma", .number, 0.01, "factor of h; larger: fewer elements are clipped"),
        Parameter(
          "clip_threshold", .number, 1, lowOpen: true, highOpen: false,
          "no element moves by more than lr times this"),
        Parameter("bias_correction", .flag, 1, to: 1, "correct m in the first steps, as Adam does"),
        .probeSeed,
      ],
      slots: [
        Slot("m", of: .signed, "mean of gradients"),
        Slot("h", "mean of estimates of the Hessian's diagonal"),
      ], normalizes: true, curvature: Curvature(slot: "h", decay: "beta2"))
  }
  #endif

  struct Hyper {
    var lr, beta1, beta2, eps, weightDecay, gamma, clipThreshold, biasCorrection, seed: Double
  }
  struct State { var m, h: T.Lanes }
  static var zero: State { @inline(__always) get { State(m: .zero, h: .zero) } }

  let a1, correction, gamma, eps, threshold, lr, shrink: T

  init(_ h: Hyper, step t: Double) {
    a1 = T(1 - h.beta1)
    correction = h.biasCorrection == 0 ? 1 : T(1 / biasCorrection(h.beta1, t))
    gamma = T(h.gamma)
    eps = T(h.eps)
    threshold = T(h.clipThreshold)
    lr = T(h.lr)
    shrink = T(1 - h.lr * h.weightDecay)
  }

  @inline(__always)
  func apply(_ p: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    s.m += a1 * (g - s.m)
    let u = correction * s.m / maximum(gamma * s.h, T.splat(eps))
    let most = T.splat(threshold), least = T.splat(-threshold)
    // A NaN stays one.
    let clipped = choose(u, greaterThan: most, most, else: maximum(least, u))
    return shrink * p - lr * clipped
  }
}
