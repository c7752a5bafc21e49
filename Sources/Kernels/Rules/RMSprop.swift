/// RMSprop: steps scaled by the root of the mean of squared gradients.
struct RMSprop<T: Scalar>: LaneRule {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .rule, "rmsprop", "steps scaled by the root mean square of gradients",
      formula: """
        g <- g + weight_decay p
        v <- alpha v + (1 - alpha) g^2
        centered: mean <- alpha mean + (1 - alpha) g, and v - mean^2 in place of v below
        d <- g / (sqrt(v) + eps)                 (compat=optax: g / sqrt(v + eps))
        p <- p - lr d                            (momentum: m <- momentum m + d, p <- p - lr m)
        """,
      reference:
        "Hinton 2012, lecture 6e; Graves 2013 (centered); torch.optim.RMSprop; optax.rmsprop",
      difference: """
        Same as torch.optim.RMSprop, but v - mean^2 is taken as 0 where rounding makes it negative \
        (torch: NaN). compat=optax: eps inside the root, and m collects lr d, so that a new lr acts \
        slowly; optax's default alpha is 0.9.
        """,
      parameters: [
        .lr(0.01),
        Parameter("alpha", .number, 0.99, to: 1, "decay of the mean of squared gradients"),
        .eps(1e-8), .weightDecayCoupled(0), .momentum(0),
        Parameter("centered", .flag, 0, to: 1, "scale by the variance, not by the mean square"),
        .compat(["torch", "optax"], "where eps and lr stand"),
      ],
      slots: [
        Slot("v", of: .positive, "mean of squared gradients"),
        Slot("mean", of: .signed, when: "centered", "mean of gradients"),
        Slot("m", of: .signed, when: "momentum", "momentum buffer"),
      ], normalizes: true, moments: Moments(square: "v", eps: "eps", inside: "compat"))
  }
  #endif

  struct Hyper { var lr, alpha, eps, weightDecay, momentum, centered, compat: Double }
  struct State { var v, mean, m: T.Lanes }
  static var zero: State { @inline(__always) get { State(v: .zero, mean: .zero, m: .zero) } }

  let alpha, fresh, coupled, eps, momentum, inner, outer: T
  let heavy, centered, inside: Bool

  init(_ h: Hyper, step t: Double) {
    alpha = T(h.alpha)
    fresh = T(1 - h.alpha)
    coupled = T(h.weightDecay)
    eps = T(h.eps)
    momentum = T(h.momentum)
    heavy = h.momentum != 0
    centered = h.centered != 0
    inside = h.compat != 0
    // Where lr stands: on what the momentum collects, or on what it gives.
    inner = heavy && !inside ? 1 : T(h.lr)
    outer = heavy && !inside ? T(h.lr) : 1
  }

  @inline(__always)
  func apply(_ p: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    let d = g + coupled * p
    s.v = alpha * s.v + fresh * d * d
    var v = s.v
    if centered {
      s.mean += fresh * (d - s.mean)
      v -= s.mean * s.mean
      v = maximum(.zero, v)
    }
    let root = inside ? squareRoot(v + eps) : squareRoot(v) + eps
    let u = inner * d / root
    guard heavy else { return p - u }
    s.m = momentum * s.m + u
    return p - outer * s.m
  }
}
