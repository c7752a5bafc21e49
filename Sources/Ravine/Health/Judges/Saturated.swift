/// Units at the flat ends of tanh or a sigmoid.
enum Saturated: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "saturated", title: "units are saturated",
      summary:
        "the share of elements beyond 0.97 where all lie in -1 to 1 (tanh), or below 0.015 and above 0.985 where all lie in 0 to 1 (sigmoid); arrays with exact zeros (rectifiers) and with rows that sum to 1 (softmax) are not judged",
      needs: "activations of tanh or sigmoid units",
      advice:
        "smaller initial weights (Glorot), inputs of mean 0 and variance 1, a smaller learning rate, normalisation before the nonlinearity; a gate that is meant to stay open or shut is no fault",
      source: "0.97: Karpathy, makemore part 3; half of a layer: SageMaker Debugger",
      limits: [
        Limit("note", 0.1, from: 0, to: 1, "share of elements", source: "convention"),
        Limit("warn", 0.5, from: 0, to: 1, "share of elements", source: "SageMaker Debugger"),
        Limit("severe", 0.9, from: 0, to: 1, "share of elements", source: "convention"),
      ])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    try q.judgeShares(least: 1, severities: [.severe, .warn, .note]) { s, scratch in
      guard let t = s.activation?.pointee else { return nil }
      return (t.saturation.median(scratch), t.saturation.count)
    } words: { share, name in
      "\(short(100 * share)) % of the elements of \(name) are at the flat ends"
    }
  }
}
