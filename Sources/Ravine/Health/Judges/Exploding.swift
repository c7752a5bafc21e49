/// Gradients that grow from layer to layer on their way to the input, or activations to the output.
enum Exploding: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "exploding", title: "the signal explodes with depth",
      summary:
        "how many times larger the root mean square of gradients is at the first layers than at the last, and of activations at the last than at the first; gain per layer as a Theil-Sen slope",
      needs: "gradients or activations with a depth, three layers or more",
      advice:
        "smaller initial weights: variance 2 / inputs for ReLU (He), 2 / (inputs + outputs) for tanh (Glorot); normalisation; clip_norm(1) before the rule against the worst",
      source:
        "Glorot and Bengio 2010; He et al. 2015, arXiv:1502.01852; Schoenholz et al. 2017, arXiv:1611.01232",
      limits: [
        Limit("note", 2.718281828459045, from: 1, "times larger", source: "one depth scale: e"),
        Limit(
          "warn", 20.085536923187668, from: 1, "times larger",
          source: "e^3: Schoenholz et al. could train to about six depth scales of the square"),
        Limit(
          "severe", 1000, from: 1, "times larger",
          source: "the inverse of AutoTrainer's limit for vanishing; its own for exploding is 70"),
      ])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    if let flow = try DepthFlow.gradients(q) { try q.judge(flow, sign: 1) }
    if let flow = try DepthFlow.activations(q) { try q.judge(flow, sign: 1) }
  }
}
