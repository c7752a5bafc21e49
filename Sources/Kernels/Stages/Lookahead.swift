/// lookahead: a slow set of parameters that the fast one is pulled back to every few steps.
struct Lookahead<T: Scalar>: UpdateStage {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .stage, "lookahead", "every few steps a part of the way only; stands behind the rule",
      formula: """
        at each k-th step of a tensor: slow <- slow + alpha (p - slow), p <- slow
        slow begins as the parameters before the first step
        """,
      reference: "Zhang et al. 2019, arXiv:1907.08610; optax.lookahead",
      difference: """
        Same as optax.lookahead and the authors' code without resets: the rule's own state goes on. \
        Defaults are the paper's (timm has k = 6).
        """,
      parameters: [
        Parameter("k", .count, 5, from: 1, to: 1e15, "steps from one pull to the next"),
        Parameter("alpha", .number, 0.5, to: 1, "share of the way that is kept"),
      ],
      slots: [Slot("slow", "the slow parameters")])
  }
  #endif

  struct Hyper { var k, alpha: Double }
  struct State { var slow: T.Lanes }
  static var zero: State { @inline(__always) get { State(slow: .zero) } }

  let alpha: T
  let first, pull: Bool

  init(_ h: Hyper, lr: Double, step t: Double) {
    alpha = T(h.alpha)
    first = t == 1
    pull = (t / h.k).rounded(.down) * h.k == t
  }

  @inline(__always)
  func apply(_ old: T.Lanes, _ new: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    if first { s.slow = old }
    if !pull { return new }
    s.slow += alpha * (new - s.slow)
    return s.slow
  }
}
