/// decay: weight decay of every kind, beside any rule.
struct Decay<T: Scalar>: DeclaredStage, UpdateStage {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .stage, "decay", "weight decay of every kind, for any rule",
      formula: """
        coupled:     g <- g + weight_decay p            before the rule: L2 penalty
        l1:          g <- g + weight_decay sign(p)      before the rule: L1 penalty
        decoupled:   p <- p' - lr weight_decay p        behind it; p' is what the rule made of p
        independent: p <- p' - weight_decay p
        corrected:   p <- p' - lr (lr / lr_max) weight_decay p
        cautious:    p <- p' - lr weight_decay p        where (p - p') p >= 0; else p'
        proximal:    p <- p' / (1 + lr weight_decay)
        """,
      reference: """
        Loshchilov & Hutter 2019, arXiv:1711.05101 (decoupled, independent); Defazio 2025, \
        arXiv:2506.02285 (corrected); Chen et al. 2025, arXiv:2510.12402 (cautious); Xie et al. 2022, \
        arXiv:2208.06677 (proximal, as in Adan)
        """,
      difference: """
        decoupled is what adamw has built in (torch, optax.add_decayed_weights before the rate). \
        independent is the paper's decay, which the rate does not scale (optax.add_decayed_weights \
        after it). corrected is timm's corrected_weight_decay. lr is the rate of the tensor's rule.
        """,
      parameters: [
        Parameter("weight_decay", .number, nil, "how strong"),
        Parameter(
          "kind", .word, 2, to: 6,
          words: [
            "coupled", "l1", "decoupled", "independent", "corrected", "cautious", "proximal",
          ],
          "coupled and l1 stand before the rule, the others behind it"),
        Parameter(
          "lr_max", .number, 0, "corrected: the largest rate of the schedule; must be given there"),
      ])
  }

  static func facts(_ h: Hyper) -> StageFacts {
    if h.kind < 2 { return StageFacts(transforms: true, reads: true) }
    let missing: StaticText = "kind=corrected needs lr_max, the largest rate of the schedule"
    return StageFacts(follows: true, conflict: h.kind == 4 && h.lrMax == 0 ? missing : nil)
  }
  #endif

  struct Hyper { var weightDecay, kind, lrMax: Double }
  typealias State = Void
  static var zero: State { @inline(__always) get { () } }

  let rate: T
  let signs, cautious, proximal: Bool
  let divisor: T

  init(_ h: Hyper, step t: Double) {
    rate = T(h.weightDecay)
    signs = h.kind == 1
    cautious = false
    proximal = false
    divisor = 1
  }

  init(_ h: Hyper, lr: Double, step t: Double) {
    let scale = h.kind == 3 ? 1 : h.kind == 4 ? lr * (lr / h.lrMax) : lr
    rate = h.kind == 6 ? 0 : T(scale * h.weightDecay)
    signs = false
    cautious = h.kind == 5
    proximal = h.kind == 6
    divisor = h.kind == 6 ? T(1 + lr * h.weightDecay) : 1
  }

  @inline(__always)
  func transform(_ g: T.Lanes, _ p: T.Lanes) -> T.Lanes {
    g + rate * (signs ? sign(p) : p)
  }

  @inline(__always)
  func apply(_ old: T.Lanes, _ new: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    if proximal { return new / divisor }
    let decayed = new - rate * old
    if !cautious { return decayed }
    return choose(.zero, greaterThan: (old - new) * old, new, else: decayed)
  }
}
