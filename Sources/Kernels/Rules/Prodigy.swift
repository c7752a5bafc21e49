/// Prodigy: Adam that estimates its own rate, from how far the parameters have come.
struct Prodigy<T: Scalar>: SharedRule {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .rule, "prodigy", "Adam that estimates its own rate from the distance to the start",
      formula: """
        m <- beta1 m + (1 - beta1) d g,   v <- beta2 v + (1 - beta2) d^2 g^2,   r = d lr c
        s <- beta3 s + (d / d0) r g,      numerator <- beta3 numerator + (d / d0) r sum g (p0 - p)
        dhat = d_coef numerator / sum |s|         sums over all tensors with a gradient
        d <- max(d, dhat) where d = d0;   d_max <- max(d_max, dhat);   d <- min(d_max, d growth_rate)
        p <- p (1 - r weight_decay) - r m / (sqrt(v) + d eps)
        c = sqrt(1 - beta2^t) / (1 - beta1^t) with bias_correction, else 1; beta3 = 0: sqrt(beta2)
        """,
      reference: "Mishchenko & Defazio 2024, arXiv:2306.06101; prodigyopt 1.1.2",
      difference: """
        Same as the authors' prodigyopt with slice_p=1 (optax.contrib.prodigy always corrects the bias, \
        and has no growth_rate). t counts each tensor's steps, theirs those of the group. lr is a factor \
        of the estimate: leave it at 1, or give it a schedule. Tensors may have other rates by clauses; \
        d is one for all of them, and is read as "prodigy.d".
        """,
      parameters: [
        Parameter("lr", .number, 1, "learning rate: a factor of the estimated one"), .beta1(0.9),
        .beta2(0.999),
        Parameter(
          "beta3", .number, 0, to: 1, highOpen: true, "decay of the estimate; 0: sqrt(beta2)"),
        .eps(1e-8), .weightDecay(0),
        Parameter(
          "decay", .word, 0, to: 1, words: ["decoupled", "coupled"],
          "whether weight_decay is part of the update or of the gradient"),
        Parameter("bias_correction", .flag, 0, to: 1, "correct the first steps, as Adam does"),
        Parameter(
          "safeguard_warmup", .flag, 0, to: 1,
          "leave the rate out of the estimate: for long warm-ups"),
        Parameter("d0", .number, 1e-6, lowOpen: true, "the first estimate"),
        Parameter("d_coef", .number, 1, lowOpen: true, "factor of the estimate"),
        Parameter(
          "growth_rate", .number, .infinity, from: 1, highOpen: false,
          "the estimate grows by at most this factor in a step"),
      ],
      slots: [
        Slot("m", of: .signed, when: "beta1", "mean of gradients, times d"),
        Slot("v", of: .positive, "mean of squared gradients, times d^2"),
        Slot("s", "sum of gradients, whose size the estimate is divided by"),
        Slot("p0", "the parameters at the first step"),
      ],
      scalars: [
        Slot("d", initial: "d0", "the estimate"),
        Slot("d_max", initial: "d0", "the largest so far"),
        Slot("numerator", "of the estimate"),
      ],
      measures: ["dot", "s"], normalizes: true,
      moments: Moments(mean: "m", square: "v", meanDecay: "beta1", squareDecay: "beta2"))
  }

  static func conclude(
    _ h: Hyper, _ sums: UnsafePointer<Double>, _ scalars: UnsafeMutablePointer<Double>
  ) {
    let beta3 = h.beta3 == 0 ? h.beta2.squareRoot() : h.beta3
    if sums[1] == 0 { return }
    let numerator = scalars[2] * beta3 + sums[0]
    scalars[2] = numerator
    if h.lr == 0 { return }
    let estimate = h.dCoef * numerator / sums[1]
    var d = scalars[0]
    if d == h.d0, estimate > d { d = estimate }
    if estimate > scalars[1] { scalars[1] = estimate }
    let grown = d * h.growthRate
    scalars[0] = scalars[1] < grown ? scalars[1] : grown
  }
  #endif

  struct Hyper {
    var lr, beta1, beta2, beta3, eps, weightDecay, decay, biasCorrection, safeguardWarmup, d0,
      dCoef,
      growthRate: Double
  }
  struct State { var m, v, s, p0: T.Lanes }
  static var zero: State {
    @inline(__always) get { State(m: .zero, v: .zero, s: .zero, p0: .zero) }
  }
  struct Measures { var dot, s: T.Lanes }
  static var squares: Int { @inline(__always) get { 0 } }

  let lr, relative, eps, b1, b2, decay: Double
  let beta1, beta2, beta3: T
  let keepsMean, coupled, safeguarded, first: Bool
  let weightDecay: T
  var a1: T = 0, a2: T = 0, dotScale: T = 0, sumScale: T = 0
  var stepSize: T = 0, shrink: T = 1, floor: T = 0

  init(_ h: Hyper, step t: Double) {
    let correction =
      h.biasCorrection == 0
      ? 1 : biasCorrection(h.beta2, t).squareRoot() / biasCorrection(h.beta1, t)
    lr = h.lr * correction
    relative = 1 / h.d0
    eps = h.eps
    beta1 = T(h.beta1)
    beta2 = T(h.beta2)
    beta3 = T(h.beta3 == 0 ? h.beta2.squareRoot() : h.beta3)
    keepsMean = h.beta1 != 0
    coupled = h.decay == 1
    safeguarded = h.safeguardWarmup != 0
    first = t == 1
    weightDecay = T(h.weightDecay)
    (b1, b2, decay) = (1 - h.beta1, 1 - h.beta2, h.weightDecay)
  }

  mutating func begin(_ scalars: UnsafePointer<Double>) {
    let d = scalars[0], rate = d * lr
    a1 = T(b1 * d)
    a2 = T(b2 * (d * d))
    dotScale = T(d * relative * rate)
    sumScale = T(d * relative * (safeguarded ? d : rate))
    stepSize = T(rate)
    shrink = T(coupled ? 1 : 1 - rate * decay)
  }

  mutating func settle(_ scalars: UnsafePointer<Double>) { floor = T(scalars[0] * eps) }

  @inline(__always)
  func gradient(_ p: T.Lanes, _ g: T.Lanes) -> T.Lanes { coupled ? g + weightDecay * p : g }

  @inline(__always)
  func measure(_ p: T.Lanes, _ g: T.Lanes, _ s: State) -> Measures {
    let g = gradient(p, g), x = beta3 * s.s + sumScale * g
    return Measures(
      dot: first ? .zero : dotScale * g * (s.p0 - p),
      s: choose(x, greaterThan: .zero, x, else: .zero - x))
  }

  @inline(__always)
  func apply(_ p: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    let g = gradient(p, g)
    if first { s.p0 = p }
    s.s = beta3 * s.s + sumScale * g
    s.v = beta2 * s.v + a2 * g * g
    let mean = keepsMean ? beta1 * s.m + a1 * g : a1 * g
    if keepsMean { s.m = mean }
    return shrink * p - stepSize * mean / (squareRoot(s.v) + floor)
  }
}
