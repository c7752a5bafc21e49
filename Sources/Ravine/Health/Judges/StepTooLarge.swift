/// Steps that replace the weights instead of changing them.
enum StepTooLarge: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "step_too_large", title: "steps are too large",
      summary:
        "the root mean square of an update over that of its weights (1e-3 where those are smaller), for arrays of rank 2 and more: the median of the last 64 steps",
      needs: "weights and updates of the same name, 8 steps",
      advice: "divide the learning rate by 3 to 10, or warm it up over the first steps",
      source: "Karpathy and CS231n: about 1e-3; TheDeepChecker (arXiv:2204.00694): 1e-4 to 1e-1",
      limits: [
        Limit("note", 1e-2, "update / weight", source: "ten times the usual"),
        Limit("severe", 1e-1, "update / weight", source: "TheDeepChecker"),
      ])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    try q.judgeShares(least: 8, severities: [.severe, .note]) { s, scratch in
      s.isMatrix ? (s.ratios.median(scratch), s.ratios.count) : nil
    } words: { ratio, name in
      "an update of \(name) is \(short(ratio)) times its weights"
    }
  }
}
