/// Updates that are too small for the type of the weights.
enum Swallowed: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "swallowed", title: "rounding swallows the updates",
      summary:
        "the share of the update, by 1-norm, in elements where it is below half of the distance between neighbouring numbers of the weights' type, so that w - u rounds back to w",
      needs: "weights and updates of the same name in the same step",
      advice:
        "for float16 and bfloat16: keep the parameters in float32 (a master copy) and round them for the network; for float32: the gradient is so small that the array does not train, see the other findings",
      source:
        "arithmetic: an update is lost below a relative size of 2^-24 (float32), 2^-11 (float16), 2^-8 (bfloat16)",
      limits: [
        Limit("note", 0.01, from: 0, to: 1, "share of the update", source: "convention"),
        Limit("warn", 0.2, from: 0, to: 1, "share of the update", source: "convention"),
        Limit(
          "severe", 0.5, from: 0, to: 1, "share of the update", source: "more is lost than kept"),
      ])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    try q.judgeShares(least: 8, severities: [.severe, .warn, .note]) { s, scratch in
      (s.swallowed.median(scratch), s.swallowed.count)
    } words: { share, name in
      "\(short(100 * share)) % of the update of \(name) is below what the type of its weights resolves"
    }
  }
}
