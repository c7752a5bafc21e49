/// finite_guard: what happens to a step whose gradient is not finite.
struct FiniteGuard<T: Scalar>: DeclaredStage {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .stage, "finite_guard", "skips, refuses or mends a gradient with NaN or infinity",
      formula: """
        skip:  no update where any element is not finite; an error after `limit` skips in a row
        error: the step fails; the sentence names tensor and index
        zero:  g <- 0 where g is not finite
        """,
      reference: "optax.apply_if_finite; torch.amp.GradScaler; optax.zero_nans",
      difference: """
        optax.apply_if_finite lets the update through after its limit, here the step fails. zero \
        takes infinity as well as NaN (optax.zero_nans: NaN only).
        """,
      parameters: [
        Parameter(
          "action", .word, 0, to: 2, words: ["skip", "error", "zero"], "what to do with the step"),
        Parameter(
          "limit", .count, 10, highOpen: false,
          "skips in a row that are allowed; the next one is an error"),
      ])
  }

  static func facts(_ h: Hyper) -> StageFacts {
    h.action == 2
      ? StageFacts(transforms: true) : StageFacts(measures: .nonfinite, limit: h.limit)
  }

  static func conclude(
    _ h: Hyper, _ measured: Double, _ scalars: UnsafeMutablePointer<Double>
  ) -> Verdict {
    measured == 0 ? .scale(1) : h.action == 0 ? .skip : .fail
  }
  #endif

  struct Hyper { var action, limit: Double }

  init(_ h: Hyper, step t: Double) {}

  @inline(__always)
  func transform(_ g: T.Lanes, _ p: T.Lanes) -> T.Lanes {
    choose(g - g, equalTo: .zero, g, else: .zero)
  }
}
