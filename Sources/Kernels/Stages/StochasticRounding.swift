/// stochastic_rounding: BF16 and F16 parameters rounded up or down at random, right in the mean.
struct StochasticRounding: StoringStage {
  struct Hyper { var seed: Double }

  #if BASELINE
  static var storing: Storing { .stochastic }
  static var declaration: Declaration {
    Declaration(
      .stage, "stochastic_rounding",
      "rounds BF16 and F16 parameters up or down at random, right in the mean; stands behind the rule",
      formula: """
        p <- the neighbour of x above, with the probability (x - below) / (above - below); else the one below
        """,
      reference: """
        Croci et al. 2022, doi:10.1098/rsos.211631; Zamirai et al. 2020, arXiv:2010.06192; llm.c, torchao
        """,
      difference: """
        Takes no memory. Numbers are drawn by Philox4x32-10: key from the seed and the tensor's name, \
        counter from the element's place and the tensor's step, so that threads, instruction sets and \
        a resumed run give the same bytes (of rvn_optimizer_step_rows, the place among the rows of the \
        call). Tensors of F32 and F64 are stored as they are.
        """,
      parameters: [
        Parameter("seed", .count, 0, to: 0x1p53, "of the numbers that are drawn")
      ])
  }
  #endif
}
