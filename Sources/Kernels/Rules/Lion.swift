/// Lion: steps of one size, in the direction of the sign of an interpolated momentum.
struct Lion<T: Scalar>: LaneRule {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .rule, "lion", "the sign of an interpolated momentum: steps of one size",
      formula: """
        u <- sign(beta1 m + (1 - beta1) g)
        m <- beta2 m + (1 - beta2) g
        p <- p (1 - lr weight_decay) - lr u
        """,
      reference: "Chen et al. 2023, arXiv:2302.06675; optax.lion",
      difference: """
        Same as the authors' code and optax.lion; optax's default weight_decay is 1e-3. sign(0) is 0. \
        Keras has lr 1e-3; DeepSpeed and Optimisers.jl have beta2 0.999.
        """,
      parameters: [
        .lr(1e-4), .beta1(0.9, "share of m in the direction; the rest is g"),
        .beta2(0.99, "decay of m"), .weightDecay(0),
      ],
      slots: [Slot("m", of: .signed, "momentum")], normalizes: true)
  }
  #endif

  struct Hyper { var lr, beta1, beta2, weightDecay: Double }
  struct State { var m: T.Lanes }
  static var zero: State { @inline(__always) get { State(m: .zero) } }

  let lr, b1, a1, b2, a2, shrink: T

  init(_ h: Hyper, step t: Double) {
    lr = T(h.lr)
    b1 = T(h.beta1)
    a1 = T(1 - h.beta1)
    b2 = T(h.beta2)
    a2 = T(1 - h.beta2)
    shrink = T(1 - h.lr * h.weightDecay)
  }

  @inline(__always)
  func apply(_ p: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    let u = sign(b1 * s.m + a1 * g)
    s.m = b2 * s.m + a2 * g
    return shrink * p - lr * u
  }
}
