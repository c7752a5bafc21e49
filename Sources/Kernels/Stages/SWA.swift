/// swa: the plain mean of the parameters over many steps.
struct SWA<T: Scalar>: UpdateStage {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .stage, "swa",
      "the mean of the parameters from some step on, kept beside them; behind the rule",
      formula: """
        at the tensor's step t = start + 1, start + 1 + every, ...: n <- n + 1, swa <- swa + (p - swa) / n
        """,
      reference: "Izmailov et al. 2018, arXiv:1803.05407; torch.optim.swa_utils.AveragedModel",
      difference: """
        Same as torch's AveragedModel, updated each `every` steps. The rate's own schedule (torch's \
        SWALR) is written in the recipe. The live parameters are never replaced: read the average by name.
        """,
      parameters: [
        Parameter("start", .count, 0, to: 1e15, "steps before the first that counts"),
        Parameter("every", .count, 1, from: 1, to: 1e15, "steps from one that counts to the next"),
      ],
      slots: [Slot("swa", "the mean of the parameters")])
  }
  #endif

  struct Hyper { var start, every: Double }
  struct State { var swa: T.Lanes }
  static var zero: State { @inline(__always) get { State(swa: .zero) } }

  let weight: T
  let first, counts: Bool

  init(_ h: Hyper, lr: Double, step t: Double) {
    let since = t - 1 - h.start
    let n = (since / h.every).rounded(.down)
    counts = since >= 0 && n * h.every == since
    first = since <= 0
    weight = counts ? T(1 / (n + 1)) : 0
  }

  @inline(__always)
  func apply(_ old: T.Lanes, _ new: T.Lanes, _ g: T.Lanes, _ s: inout State) -> T.Lanes {
    s.swa = first ? new : counts ? s.swa + weight * (new - s.swa) : s.swa
    return new
  }
}
