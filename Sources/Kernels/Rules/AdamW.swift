/// AdamW: Adam with decoupled weight decay.
struct AdamW<T: Scalar>: LaneRule {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .rule, "adamw", "Adam with decoupled weight decay",
      formula: """
        p <- p (1 - lr weight_decay)
        m <- beta1 m + (1 - beta1) g
        v <- beta2 v + (1 - beta2) g^2
        p <- p - lr mhat / (sqrt(vhat) + eps)    mhat = m / (1 - beta1^t), vhat = v / (1 - beta2^t)
        """,
      reference: "Loshchilov & Hutter 2019, arXiv:1711.05101; torch.optim.AdamW",
      difference: """
        Same as torch.optim.AdamW; weight_decay is scaled by lr, as there and in optax (the paper \
        scales it by the schedule alone). The default 0.01 is torch's, optax has 1e-4.
        """,
      parameters: [
        .lr(1e-3), .beta1(0.9), .beta2(0.999), .eps(1e-8), .weightDecay(0.01), .amsgrad,
      ],
      slots: AdamState<T>.slots, normalizes: true, moments: .adam)
  }
  #endif

  struct Hyper { var lr, beta1, beta2, eps, weightDecay, amsgrad: Double }
  typealias State = AdamState<T>
  static var zero: State { @inline(__always) get { State.zero } }

  let moments: AdamMoments<T>
  let stepSize, shrink: T

  init(_ h: Hyper, step t: Double) {
    moments = AdamMoments(
      h.beta1, h.beta2, h.eps, amsgrad: h.amsgrad != 0, corrected: false, step: t)
    stepSize = T(h.lr / moments.correction1)
    shrink = T(1 - h.lr * h.weightDecay)
  }

  @inline(__always)
  func apply(_ p: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    let d = moments.update(&s, g)
    return shrink * p - stepSize * s.m / d
  }
}
