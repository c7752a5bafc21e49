/// noise: adds normal noise to the gradient, less and less of it.
struct Noise<T: Scalar>: DeclaredStage {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .stage, "noise", "adds normal noise to the gradient, less and less of it",
      formula: "g <- g + sqrt(eta / t^gamma) N(0, 1)          t counts steps from 1",
      reference: "Neelakantan et al. 2015, arXiv:1511.06807; optax.add_noise",
      difference: """
        As optax.add_noise, with numbers of our own: each depends on the seed, the tensor's name, the \
        step and its place alone, so that they are the same for any threads and after a resume. A step \
        that is skipped or fails draws the same again. gamma=0 and a schedule for eta make any other \
        decay.
        """,
      parameters: [
        Parameter(
          "eta", .number, nil, "variance of the noise in the first step; the paper: 0.01 to 1"),
        Parameter("gamma", .number, 0.55, "how fast the variance falls; 0: it stays"),
        Parameter("seed", .count, 0, to: 0x1p53, "another seed, other numbers"),
      ])
  }

  static func facts(_ h: Hyper) -> StageFacts { StageFacts(transforms: true, seed: h.seed) }
  #endif

  struct Hyper { var eta, gamma, seed: Double }

  private let deviation: T

  init(_ h: Hyper, step t: Double) {
    deviation = T((h.eta / Math.pow(t, h.gamma)).squareRoot())
  }

  @inline(__always)
  func transform(_ g: T.Lanes, _ p: T.Lanes) -> T.Lanes { g + deviation * p }
}
