/// SGD: gradient descent, plain, with momentum (heavy ball) or Nesterov's.
struct SGD<T: Scalar>: LaneRule {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .rule, "sgd", "gradient descent, with momentum or Nesterov momentum",
      formula: """
        g <- g + weight_decay p                  (decay=coupled)
        m <- momentum m + (1 - dampening) g      (m <- g at the first step)
        p <- p - lr m                            (nesterov: p <- p - lr (g + momentum m))
        decay=decoupled: p <- p (1 - lr weight_decay) before the update, as SGDW
        """,
      reference: "Robbins & Monro 1951; Polyak 1964; Sutskever et al. 2013; torch.optim.SGD",
      difference: """
        Same as torch.optim.SGD, its undamped first step included. lr stays outside m, so a new lr \
        acts at once (Keras has it inside). optax.sgd(nesterov) is the same at constant lr. \
        On rows without momentum it is torch's with sparse gradients; with it, rows that are not named wait.
        """,
      parameters: [
        .lr(1e-3), .momentum(0),
        Parameter("dampening", .number, 0, to: 1, "share of g that m leaves out"),
        Parameter(
          "nesterov", .flag, 0, to: 1, needs: "momentum", "look ahead along m; needs momentum"),
        Parameter("weight_decay", .number, 0, "pull toward zero, in the way that decay says"),
        Parameter(
          "decay", .word, 0, to: 1, words: ["coupled", "decoupled"],
          "coupled: part of g; decoupled: p shrinks by lr * weight_decay"),
      ],
      slots: [Slot("m", of: .signed, when: "momentum", "momentum buffer")], normalizes: false)
  }
  #endif

  struct Hyper { var lr, momentum, dampening, nesterov, weightDecay, decay: Double }
  struct State { var m: T.Lanes }
  static var zero: State { @inline(__always) get { State(m: .zero) } }

  let lr, momentum, fresh, coupled, shrink: T
  let first, heavy, nesterov: Bool

  init(_ h: Hyper, step t: Double) {
    lr = T(h.lr)
    momentum = T(h.momentum)
    fresh = T(1 - h.dampening)
    coupled = h.decay == 0 ? T(h.weightDecay) : 0
    shrink = h.decay == 0 ? 1 : T(1 - h.lr * h.weightDecay)
    first = t == 1
    heavy = h.momentum != 0
    nesterov = h.nesterov != 0
  }

  @inline(__always)
  func apply(_ p: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    var d = g + coupled * p
    if heavy {
      s.m = first ? d : momentum * s.m + fresh * d
      d = nesterov ? d + momentum * s.m : s.m
    }
    return shrink * p - lr * d
  }
}
