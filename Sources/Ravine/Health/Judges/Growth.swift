import Kernels

/// A loss or a gradient that grows on and on: the training diverges.
enum Growth: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "growth", title: "it grows without end",
      summary:
        "the norm over all gradients, or the loss: five medians of eight steps in a row double and the Theil-Sen slope of the logarithm over 64 steps passes ln 2 / 8; or each of eight steps in a row doubles",
      needs: "gradients or a loss, 9 steps or more",
      advice:
        "divide the learning rate by 3 to 10, warm it up, or clip: clip_norm(1) before the rule",
      source: "five doublings: Ben Braiek and Khomh 2022 (TheDeepChecker), arXiv:2204.00694",
      limits: [
        Limit(
          "rate", 0.08664339756999316, "growth of the logarithm per step",
          source: "ln 2 / 8: a doubling every eight steps"),
        Limit(
          "doublings", 5, from: 1, to: 6, "doublings in a row",
          source: "TheDeepChecker: 2x in each of 5 periods"),
      ])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    let g = q.monitor.growths
    if g.judged { q.consider() }
    guard g.step > 0 else { return }
    var finding = Finding()
    finding.severity = .severe
    finding.place = g.ofLoss ? "the loss" : "the gradient"
    finding.value = g.rate
    finding.limit = q.limit("rate")
    finding.limitName = "rate"
    finding.window = g.span
    finding.evidence =
      "by a factor of \(short(Math.exp(g.rate))) per step, over \(g.span) steps; seen first in step \(g.step)"
    finding.measured = [("step", Double(g.step)), ("factor_per_step", Math.exp(g.rate))]
    try q.add(finding)
  }
}
