/// maximize: gradient ascent.
struct Maximize<T: Scalar>: DeclaredStage {
  #if BASELINE
  static var declaration: Declaration {
    Declaration(
      .stage, "maximize", "gradient ascent: the step goes up instead of down",
      formula: "g <- -g",
      reference: "torch.optim, maximize=True",
      difference: """
        Same as torch's maximize=True: weight decay, which comes after it, still pulls toward zero. \
        So it stands in front of a decay stage; its place among clipping stages does not matter. It is \
        a factor that the rule puts on the gradient anyway, and costs nothing.
        """,
      parameters: [])
  }

  static func facts(_ h: Hyper) -> StageFacts { StageFacts(scales: true, factor: -1) }
  #endif

  struct Hyper {}

  init(_ h: Hyper, step t: Double) {}
}
