/// AdaHessian: Adam with the curvature in place of the gradient's size.
struct AdaHessian<T: Scalar>: LaneRule {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .rule, "adahessian", "Adam with squared curvature in place of squared gradients",
      formula: """
        at estimate n of the Hessian's diagonal, from 1:
            v <- (1 - c) v + c estimate^2         c = (1 - beta2) / (1 - beta2^n)
        p <- p (1 - lr weight_decay)
        m <- beta1 m + (1 - beta1) g
        p <- p - lr mhat / (sqrt(v) + eps)        mhat = m / (1 - beta1^t)
        """,
      reference:
        "Yao et al. 2020, arXiv:2006.00719; timm.optim.Adahessian; pytorch_optimizer.AdaHessian",
      difference: """
        Same as timm's and pytorch_optimizer's with hessian_power=1, the only power here, and an estimate \
        before each step. Where there are fewer, each counts once (rvn_optimizer_curvature): timm takes the \
        last one in again at every step, pytorch_optimizer corrects the bias by steps. v is theirs over its \
        bias correction. Means of |estimate| over the kernel of a convolution (timm's avg_conv_kernel) are \
        the caller's to make, and to give as the diagonal. pytorch_optimizer's eps is 1e-16.
        """,
      parameters: [
        .lr(0.1), .beta1(0.9), .beta2(0.999, "decay of the mean of squared curvature"), .eps(1e-8),
        .weightDecay(0), .probeSeed,
      ],
      slots: [
        Slot("m", of: .signed, "mean of gradients"),
        Slot("v", "mean of squared estimates of the Hessian's diagonal"),
      ], normalizes: true,
      curvature: Curvature(slot: "v", decay: "beta2", squared: true, corrected: true))
  }
  #endif

  struct Hyper { var lr, beta1, beta2, eps, weightDecay, seed: Double }
  struct State { var m, v: T.Lanes }
  static var zero: State { @inline(__always) get { State(m: .zero, v: .zero) } }

  let a1, stepSize, eps, shrink: T

  init(_ h: Hyper, step t: Double) {
    a1 = T(1 - h.beta1)
    stepSize = T(h.lr / biasCorrection(h.beta1, t))
    eps = T(h.eps)
    shrink = T(1 - h.lr * h.weightDecay)
  }

  @inline(__always)
  func apply(_ p: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    s.m += a1 * (g - s.m)
    return shrink * p - stepSize * s.m / (squareRoot(s.v) + eps)
  }
}
