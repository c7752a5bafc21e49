/// Muon: momentum, whose singular values are all brought near 1.
struct Muon<T: Scalar>: MatrixRule {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .rule, "muon", "momentum made orthogonal: for the matrices of hidden layers",
      formula: """
        m <- momentum m + (1 - momentum) g
        u <- momentum m + (1 - momentum) g       (nesterov; else u <- m)
        X <- u / max(|u|, eps)                   (compat=author, optax: u / (|u| + eps))
        ns_steps times: A <- X X^T;  X <- ns_a X + (ns_b A + ns_c A A) X
        p <- p (1 - lr weight_decay) - lr s X
        s: original sqrt(max(1, out / in));  match_rms_adamw 0.2 sqrt(max(out, in));
           spectral_unclamped sqrt(out / in)
        compat=optax: u <- momentum m / (1 - momentum^(t+1)) + (1 - momentum) g / (1 - momentum^t)
        """,
      reference: """
        Jordan et al. 2024, kellerjordan.github.io/posts/muon; torch.optim.Muon; optax.contrib.muon; \
        Liu et al. 2025, arXiv:2502.16982 (match_rms_adamw); Bernstein 2025 (spectral_unclamped)
        """,
      difference: """
        Same as torch.optim.Muon, but that torch and the author make the products in bfloat16, and here they \
        are made in Float32 (Float64 for Float64 tensors), as in optax. The defaults are torch's; the author \
        has lr 0.02 and no decay. A tensor of more axes is a matrix of its first axis (out) by all others \
        (in), as the author flattens convolutions, but with s of that matrix; with compat=optax it is all axes \
        but the last (in) by the last (out). Vectors need another rule, and embeddings and heads should have \
        one: muon(0.02); @rank<2, embed.*: adamw(1e-3). Part of a matrix is another matrix: it cannot be split \
        over tensors, and rows alone cannot be stepped.
        """,
      parameters: [
        .lr(1e-3),
        Parameter(
          "momentum", .number, 0.95, to: 1, highOpen: true,
          "decay of the mean of gradients; 0: no buffer"),
        Parameter("nesterov", .flag, 1, to: 1, "look ahead along m"), .weightDecay(0.1),
        Parameter("ns_steps", .count, 5, to: 99, "Newton-Schulz steps"),
        Parameter("ns_a", .number, 3.4445, from: -.infinity, "coefficient of X"),
        Parameter("ns_b", .number, -4.775, from: -.infinity, "coefficient of X X^T X"),
        Parameter("ns_c", .number, 2.0315, from: -.infinity, "coefficient of (X X^T)^2 X"),
        Parameter(
          "eps", .number, 1e-7, from: 1e-30, "least norm that u is divided by, or added to it"),
        Parameter(
          "adjust", .word, 0, to: 2, words: ["original", "match_rms_adamw", "spectral_unclamped"],
          "how the size of the step depends on the shape"),
        .compat(["torch", "author", "optax"], "whose eps, mean and layout of weights"),
      ],
      slots: [Slot("m", when: "momentum", "mean of gradients")], leastRank: 2, normalizes: true)
  }

  static func facts(_ h: Hyper) -> MatrixFacts {
    MatrixFacts(
      lastAxis: h.compat == 2,
      orthogonalization: Orthogonalization(
        steps: Int(h.nsSteps), a: h.nsA, b: h.nsB, c: h.nsC, eps: h.eps, floored: h.compat == 0))
  }
  #endif

  struct Hyper {
    var lr, momentum, nesterov, weightDecay, nsSteps, nsA, nsB, nsC, eps, adjust, compat: Double
  }
  struct State { var m: T.Lanes }
  static var zero: State { @inline(__always) get { State(m: .zero) } }

  let fresh, mean, gradient, shrink: T
  let heavy, last: Bool
  let lr, adjust: Double
  var stepSize: T = 0

  init(_ h: Hyper, step t: Double) {
    let b = h.momentum, corrected = h.compat == 2, ahead = h.nesterov != 0
    fresh = T(1 - b)
    mean = T((ahead ? b : 1) / (corrected ? biasCorrection(b, ahead ? t + 1 : t) : 1))
    gradient = T(ahead ? (1 - b) / (corrected ? biasCorrection(b, t) : 1) : 0)
    shrink = T(1 - h.lr * h.weightDecay)
    heavy = b != 0
    last = corrected
    (lr, adjust) = (h.lr, h.adjust)
  }

  mutating func shape(rows: Double, columns: Double) {
    let ratio = last ? columns / rows : rows / columns
    let most = rows > columns ? rows : columns
    let scale =
      adjust == 1 ? 0.2 * most.squareRoot() : (adjust == 0 && ratio < 1 ? 1 : ratio).squareRoot()
    stepSize = T(lr * scale)
  }

  @inline(__always)
  func direction(_ g: T.Lanes, _ s: inout State) -> T.Lanes {
    if !heavy { return g }
    s.m += fresh * (g - s.m)
    return mean * s.m + gradient * g
  }

  @inline(__always)
  func apply(_ p: T.Lanes, _ o: T.Lanes) -> T.Lanes { shrink * p - stepSize * o }
}
