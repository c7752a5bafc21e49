import Kernels

/// multistep: multiplied by a factor at chosen steps.
struct Multistep: Schedule {
  static var declaration: Declaration {
    Declaration(
      .schedule, "multistep", "multiplied by factor at each of the chosen steps",
      formula: "value factor^(number of at <= t)",
      reference: "torch.optim.lr_scheduler.MultiStepLR; compat=timm: timm MultiStepLRScheduler",
      difference: """
        Same as torch: the new value holds from step `at` on. timm drops one step earlier, with \
        compat=timm this does too.
        """,
      example: "multistep(1, at=(40, 70), factor=0.3)",
      parameters: [
        .value,
        Parameter("at", .list, nil, share: "total", "the steps at which it drops, rising"),
        Parameter("factor", .number, 0.1, "what each drop multiplies by"),
        Parameter(
          "compat", .word, 0, to: 1, words: ["torch", "timm"], "whose step of the drop it is"),
      ])
  }

  let start, factor, early: Double
  let at: [Double]

  init(_ a: Arguments) throws(RavineError) {
    (start, at, factor, early) = (a.number(0), a.numbers(1), a.number(2), a.number(3))
    for i in 1..<max(1, at.count) where at[i] <= at[i - 1] {
      throw .recipe("multistep: at must rise, but \(at[i]) follows \(at[i - 1])")
    }
  }

  func value(at t: Double) -> Double {
    var drops = 0.0
    for boundary in at where boundary <= t + early { drops += 1 }
    return start * Math.pow(factor, drops)
  }
}
