/// Adafactor: steps by the share of the parameters' own size, with second moments by row and by column.
struct Adafactor<T: Scalar>: FactoredRule {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .rule, "adafactor",
      "second moments by row and by column, and steps relative to the parameters",
      formula: """
        of matrices, the last two axes:          v = r c / max(mean(r), eps1)   (mean over the rows)
          r <- r + t^beta2_decay (mean of g^2 over each row - r)
          c <- c + t^beta2_decay (mean of g^2 over each column - c)
        of vectors:  v <- v + t^beta2_decay (g^2 - v)
        u <- g / max(sqrt(v), eps1)
        a <- max(eps2, rms(p)) min(lr, 1 / sqrt(t))   scale_parameter; relative_step
        p <- p (1 - lr weight_decay) - a u / max(1, rms(u) / clip_threshold)
        beta1: p loses m in place of a u / ..;  m <- beta1 m + (1 - beta1) a u / ..
        compat=paper, optax: g^2 + eps1 in place of g^2, and no other eps1; p loses a weight_decay p \
        (optax: weight_decay p)
        """,
      reference: """
        Shazeer & Stern 2018, arXiv:1804.04235; torch.optim.Adafactor; transformers' Adafactor (paper); \
        optax.adafactor
        """,
      difference: """
        Same as torch.optim.Adafactor, but that r and c are Float64, and r is divided before it is multiplied \
        by c, where torch overflows for Float32 gradients above 1e9; and that tensors of 16 bits have the eps1 \
        of Float32 (torch: of their type), and each tensor that of its own type (torch: of the group's \
        first). compat=paper is transformers' Adafactor. compat=optax is optax.adafactor with \
        min_dim_size_to_factor=1, where relative_step=false; optax factors the two largest axes, and only \
        those of 128 or more, here it is always the last two. r has the shape [.., rows, 1], c [.., 1, \
        columns]. Part of a matrix has other means: it cannot be split over tensors, and rows alone cannot \
        be stepped.
        """,
      parameters: [
        .lr(0.01),
        Parameter(
          "beta2_decay", .number, -0.8, from: -.infinity, to: 0, highOpen: false,
          "share of new squares at step t: t^beta2_decay"),
        Parameter(
          "eps1", .number, 0,
          "as the formula has it; 0: 2^-23 (Float64: 2^-52), and 1e-30 for compat=paper, optax"
        ),
        Parameter("eps2", .number, 1e-3, "least rms of parameters that steps are relative to"),
        Parameter(
          "clip_threshold", .number, 1, lowOpen: true, highOpen: false,
          "largest rms of u; inf: not clipped"),
        .beta1(0, "decay of the mean of updates; 0: no buffer"), .weightDecay(0),
        Parameter("relative_step", .flag, 1, to: 1, "the rate is at most 1 / sqrt(t)"),
        Parameter("scale_parameter", .flag, 1, to: 1, "steps are relative to rms(p)"),
        .compat(["torch", "paper", "optax"], "whose eps1 and weight_decay"),
      ],
      slots: [
        Slot("v", of: .factored, "of vectors: mean of squared gradients"),
        Slot("m", of: .signed, when: "beta1", "mean of updates"),
        Slot("r", of: .rows, "of matrices: mean of squared gradients of each row"),
        Slot("c", of: .columns, "of matrices: mean of squared gradients of each column"),
      ],
      measures: ["u", "p"], normalizes: true)
  }

  static func factoring(_ h: Hyper, step t: Double) -> Factoring {
    let rule = Self(h, step: t)
    return Factoring(
      fresh: rule.share, added: rule.paper ? rule.eps : 0, leastMean: rule.paper ? 0 : rule.eps,
      most: rule.paper ? .infinity : 1 / rule.eps)
  }
  #endif

  struct Hyper {
    var lr, beta2Decay, eps1, eps2, clipThreshold, beta1, weightDecay, relativeStep, scaleParameter,
      compat: Double
  }
  struct State { var v, m: T.Lanes }
  struct Measures { var u, p: T.Lanes }
  static var zero: State { @inline(__always) get { State(v: .zero, m: .zero) } }
  static var squares: Int { @inline(__always) get { 2 } }

  let paper, heavy, relative: Bool
  let share, eps, rate, leastScale, clip, fraction: Double
  /// What weight decay is multiplied by: 0 the rate, 1 the whole step, 2 nothing.
  let decay, compat, lr: Double
  let fresh, old, added, least, b1: T
  var factored = false
  var count = 1.0
  var stepSize: T = 0, shrink: T = 1

  init(_ h: Hyper, step t: Double) {
    paper = h.compat != 0
    eps = h.eps1 != 0 ? h.eps1 : paper ? 1e-30 : Double(T.ulpOfOne)
    share = Math.pow(t, h.beta2Decay)
    let slow = 1 / t.squareRoot()
    rate = h.relativeStep != 0 && slow < h.lr ? slow : h.lr
    relative = h.scaleParameter != 0
    leastScale = h.eps2
    clip = h.clipThreshold
    heavy = h.beta1 != 0
    fraction = 1 - h.beta1
    (decay, compat, lr) = (h.weightDecay, h.compat, h.lr)
    fresh = T(share)
    old = T(1 - share)
    added = T(paper ? eps : 0)
    least = T(paper ? 0 : eps)
    b1 = T(h.beta1)
  }

  mutating func shape(count: Double, factored: Bool) {
    self.count = count
    self.factored = factored
  }

  @inline(__always)
  func direction(_ g: T.Lanes, _ s: inout State) -> T.Lanes {
    if factored { return g * s.v }
    s.v = old * s.v + fresh * (g * g + added)
    return g / maximum(T.splat(least), squareRoot(s.v))
  }

  @inline(__always)
  func measure(_ p: T.Lanes, _ g: T.Lanes, _ s: State) -> Measures {
    var s = s
    return Measures(u: direction(g, &s), p: p)
  }

  mutating func settle(_ sums: UnsafePointer<Double>) {
    let u = (sums[0] / count).squareRoot(), p = (sums[1] / count).squareRoot()
    let step = relative ? rate * (p < leastScale ? leastScale : p) : rate
    stepSize = T((u > clip ? step * (clip / u) : step) * fraction)
    shrink = T(1 - decay * (compat == 0 ? lr : compat == 1 ? step : 1))
  }

  @inline(__always)
  func apply(_ p: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    let u = stepSize * direction(g, &s)
    if !heavy { return shrink * p - u }
    s.m = b1 * s.m + u
    return shrink * p - s.m
  }
}
