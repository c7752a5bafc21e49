/// kahan: BF16 and F16 parameters with what their rounding cut off, which the next step adds again.
struct Kahan: StoringStage {
  struct Hyper {}

  #if BASELINE
  static var storing: Storing { .kahan }
  static var declaration: Declaration {
    Declaration(
      .stage, "kahan",
      "keeps what rounding cuts off of BF16 and F16 parameters; stands behind the rule",
      formula: """
        x <- step(p + compensation),   p <- round(x),   compensation <- round(x - p)
        where p is not round(p + compensation) any more, it was changed from outside: step(p)
        """,
      reference: """
        Kahan 1965; Zamirai et al. 2020, arXiv:2010.06192; optimi, pytorch_optimizer (kahan_sum)
        """,
      difference: """
        The sum is made in Float32 and rounded twice, to p and to the compensation, which has p's type \
        (2 bytes for each parameter); optimi rounds after each operation. Tensors of F32 and F64 are \
        stored as they are. Other stages behind the rule see the numbers before they are rounded.
        """,
      parameters: [],
      slots: [Slot("compensation", of: .residue, "what rounding cut off of the parameters")])
  }
  #endif
}
