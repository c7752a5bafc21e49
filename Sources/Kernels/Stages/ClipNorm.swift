/// clip_norm: scales all gradients together so that their norm is at most `max`.
struct ClipNorm<T: Scalar>: DeclaredStage {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .stage, "clip_norm", "scales all gradients together to a norm of at most max",
      formula: """
        n = (sum over all tensors of |g|^p)^(1/p)
        g <- g min(1, max / (n + 1e-6))          (compat=optax: max / n where n >= max)
        """,
      reference:
        "Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063; torch.nn.utils.clip_grad_norm_",
      difference: """
        Same as torch, its 1e-6 included; compat=optax is optax.clip_by_global_norm. The norm is \
        summed in Float64, so that 1e20 does not overflow and 1e-30 does not vanish. A norm that is \
        not finite makes the gradients NaN or 0, as in torch: put finite_guard before it.
        """,
      parameters: [
        Parameter(
          "max", .number, nil, lowOpen: true, highOpen: false,
          "the largest norm that passes unscaled"),
        Parameter(
          "p", .word, 1, to: 2, words: ["1", "2", "inf"],
          "which norm: sum of magnitudes, Euclidean, largest magnitude"),
        .compat(["torch", "optax"], "torch: 1e-6 is added to the norm; optax: it is not"),
      ])
  }

  static func facts(_ h: Hyper) -> StageFacts {
    StageFacts(
      measures: h.p == 0 ? .absolutes : h.p == 1 ? .squares : .maximum, scales: true, clips: true)
  }

  static func conclude(
    _ h: Hyper, _ measured: Double, _ scalars: UnsafeMutablePointer<Double>
  ) -> Verdict {
    let norm = h.p == 1 ? measured.squareRoot() : measured
    if h.compat == 1 { return .scale(norm < h.max ? 1 : h.max / norm) }
    let scale = h.max / (norm + 1e-6)
    return .scale(scale > 1 ? 1 : scale)
  }
  #endif

  struct Hyper { var max, p, compat: Double }

  init(_ h: Hyper, step t: Double) {}
}
