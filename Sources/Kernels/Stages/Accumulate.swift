/// accumulate: adds up the gradients of several calls, and lets the rule step once for all of them.
struct Accumulate<T: Scalar>: DeclaredStage {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .stage, "accumulate", "steps once for the gradients of n calls",
      formula: """
        calls 1 to n - 1: accumulated <- accumulated + g, and no step
        call n:           g <- (accumulated + g) / n             (reduce=sum: not divided)
        """,
      reference: "optax.MultiSteps; the usual loop over micro-batches in torch",
      difference: """
        As optax.MultiSteps, without its rounding: the sum is divided once. Stages before it see each \
        call's gradient, those behind it the sum: unscale | accumulate(8) | clip_norm(1) | adamw. A call \
        that a stage before it skips adds nothing and is not counted. rvn_optimizer_flush steps for a \
        last window that is not full, and divides by what was counted. Takes 4 bytes for each \
        parameter (8 for F64).
        """,
      parameters: [
        Parameter("n", .count, nil, from: 1, to: 1e15, "calls for one step"),
        Parameter(
          "reduce", .word, 0, to: 1, words: ["mean", "sum"], "what is made of the gradients"),
      ],
      slots: [Slot("accumulated", "the sum of the gradients since the last step")])
  }

  static func facts(_ h: Hyper) -> StageFacts {
    StageFacts(scales: true, prepares: true, accumulates: h.n, averages: h.reduce == 0)
  }
  #endif

  struct Hyper { var n, reduce: Double }

  init(_ h: Hyper, step t: Double) {}

  /// `p` is what was accumulated.
  @inline(__always)
  func transform(_ g: T.Lanes, _ p: T.Lanes) -> T.Lanes { p + g }
}
