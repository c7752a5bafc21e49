/// Gradients that shrink from layer to layer on their way to the input, or activations to the output.
enum Vanishing: Judge {
  static var declaration: JudgeDeclaration {
    JudgeDeclaration(
      code: "vanishing", title: "the signal vanishes with depth",
      summary:
        "how many times smaller the root mean square of gradients is at the first layers than at the last, and of activations at the last than at the first; gain per layer as a Theil-Sen slope",
      needs: "gradients or activations with a depth, three layers or more",
      advice:
        "initial weights whose variance is 2 / inputs for ReLU (He) and 2 / (inputs + outputs) for tanh (Glorot); no sigmoid between layers; residual connections or normalisation",
      source:
        "Glorot and Bengio 2010; He et al. 2015, arXiv:1502.01852; Schoenholz et al. 2017, arXiv:1611.01232",
      limits: [
        Limit("note", 2.718281828459045, from: 1, "times smaller", source: "one depth scale: e"),
        Limit(
          "warn", 20.085536923187668, from: 1, "times smaller",
          source: "e^3: Schoenholz et al. could train to about six depth scales of the square"),
        Limit(
          "severe", 1000, from: 1, "times smaller",
          source: "AutoTrainer (Zhang et al. 2021): first / last below 1e-3"),
      ])
  }

  static func judge(_ q: Inquiry) throws(RavineError) {
    if let flow = try DepthFlow.gradients(q) { try q.judge(flow, sign: -1) }
    if let flow = try DepthFlow.activations(q) { try q.judge(flow, sign: -1) }
  }
}
