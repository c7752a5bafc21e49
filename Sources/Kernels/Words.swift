#if BASELINE
/// The shared vocabulary: one meaning, range and sentence for each name. Never inlined: a use is a call.
extension Parameter {
  @inline(never)
  static func lr(_ initial: Double) -> Parameter {
    Parameter("lr", .number, initial, "learning rate: the size of a step")
  }
  @inline(never)
  static func momentum(_ initial: Double) -> Parameter {
    Parameter("momentum", .number, initial, "share of the last step that is kept; 0: no buffer")
  }
  @inline(never)
  static func beta1(
    _ initial: Double, _ summary: StaticText = "decay of the mean of gradients"
  ) -> Parameter {
    Parameter("beta1", .number, initial, to: 1, highOpen: true, summary)
  }
  @inline(never)
  static func beta2(
    _ initial: Double, _ summary: StaticText = "decay of the mean of squared gradients"
  ) -> Parameter {
    Parameter("beta2", .number, initial, to: 1, highOpen: true, summary)
  }
  @inline(never)
  static func eps(_ initial: Double) -> Parameter {
    Parameter("eps", .number, initial, "added to the denominator")
  }
  /// Coupled decay: part of the gradient.
  @inline(never)
  static func weightDecayCoupled(_ initial: Double) -> Parameter {
    Parameter("weight_decay", .number, initial, "L2 penalty: weight_decay * p is added to g")
  }
  /// Decoupled decay: part of the update.
  @inline(never)
  static func weightDecay(_ initial: Double) -> Parameter {
    Parameter("weight_decay", .number, initial, "pull toward zero: p loses lr * weight_decay * p")
  }
  @inline(never)
  static var amsgrad: Parameter {
    Parameter("amsgrad", .flag, 0, to: 1, "use the maximum of v so far")
  }
  /// Of every rule that remembers moments; the engine reads it.
  @inline(never)
  static var moments: Parameter {
    Parameter(
      "moments", .word, 0, to: 2, words: ["full", "bf16", "8bit"],
      "how its moments are stored: as the arithmetic has them, in 2 bytes, or in 1 (docs/storage.md)"
    )
  }
  /// Of every rule that steps by curvature; the engine reads it.
  @inline(never)
  static var probeSeed: Parameter {
    Parameter("seed", .count, 0, to: 0x1p53, "another seed, other probe vectors")
  }
  @inline(never)
  static var axis: Parameter {
    Parameter(
      "axis", .word, 0, to: 1, words: ["first", "last"],
      "a unit is what shares a place on this axis")
  }
  @inline(never)
  static func compat(_ words: [StaticText], _ summary: StaticText) -> Parameter {
    Parameter("compat", .word, 0, to: Double(words.count - 1), words: words, summary)
  }
}
#endif
