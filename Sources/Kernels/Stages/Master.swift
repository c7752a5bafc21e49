/// master: BF16 and F16 parameters as the rounding of Floats that are kept beside them.
struct Master: StoringStage {
  struct Hyper {}

  #if BASELINE
  static var storing: Storing { .master }
  static var declaration: Declaration {
    Declaration(
      .stage, "master",
      "keeps BF16 and F16 parameters in Float32 too, and steps those; stands behind the rule",
      formula: """
        master <- step(master),   p <- round(master)
        where p is not round(master) any more, it was changed from outside: master <- p before the step
        """,
      reference: "Micikevicius et al. 2018, arXiv:1710.03740; Apex O2, DeepSpeed, Megatron",
      difference: """
        Takes 4 bytes for each parameter. Tensors of F32 and F64 are stored as they are, and have no \
        master. Other stages behind the rule see the numbers before they are rounded.
        """,
      parameters: [],
      slots: [Slot("master", of: .master, "the parameters in Float32; 0 before a tensor's first step")])
  }
  #endif
}
