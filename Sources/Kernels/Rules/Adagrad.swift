/// Adagrad: each element's rate falls with the sum of its squared gradients.
struct Adagrad<T: Scalar>: LaneRule {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .rule, "adagrad", "rates that fall with the sum of squared gradients; for sparse gradients",
      formula: """
        g <- g + weight_decay p
        sum <- sum + g^2
        p <- p - lr / (1 + (t - 1) lr_decay) g / (sqrt(sum) + eps)
        compat=optax: g / sqrt(sum + eps), and 0 where sum is 0
        """,
      reference: "Duchi, Hazan & Singer 2011; torch.optim.Adagrad; optax.adagrad",
      difference: """
        Same as torch.optim.Adagrad, on rows as with its sparse gradients; compat=optax puts eps \
        inside the root. optax starts the sum at 0.1 with eps 1e-7: write \
        initial_accumulator_value=0.1, eps=1e-7.
        """,
      parameters: [
        .lr(0.01),
        Parameter("lr_decay", .number, 0, "how fast lr falls besides"),
        .weightDecayCoupled(0),
        Parameter(
          "initial_accumulator_value", .number, 0, "where the sum starts; fixed at prepare"),
        .eps(1e-10),
        .compat(["torch", "optax"], "where eps stands: torch beside the root, optax inside it"),
      ],
      slots: [
        Slot("sum", of: .positive, initial: "initial_accumulator_value", "sum of squared gradients")
      ], normalizes: true, moments: Moments(square: "sum", eps: "eps", inside: "compat"))
  }
  #endif

  struct Hyper { var lr, lrDecay, weightDecay, initialAccumulatorValue, eps, compat: Double }
  struct State { var sum: T.Lanes }
  static var zero: State { @inline(__always) get { State(sum: .zero) } }

  let rate, coupled, eps: T
  let inside: Bool

  init(_ h: Hyper, step t: Double) {
    rate = T(h.lr / (1 + (t - 1) * h.lrDecay))
    coupled = T(h.weightDecay)
    eps = T(h.eps)
    inside = h.compat != 0
  }

  @inline(__always)
  func apply(_ p: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    let d = g + coupled * p
    s.sum += d * d
    guard inside else { return p - rate * d / (squareRoot(s.sum) + eps) }
    let u = rate * d / squareRoot(s.sum + eps)
    return p - choose(s.sum, equalTo: .zero, .zero, else: u)
  }
}
