import Kernels

/// truncated_normal: a normal distribution without its tails.
struct TruncatedNormal: Initializer {
  static var declaration: Declaration {
    Declaration(
      .initializer, "truncated_normal", "normally distributed, on condition of being within bounds",
      formula: """
        z ~ N(0, 1) given low <= z <= high; p = mean + std z
        corrected: p = mean + std (z - E z) / sqrt(var z)
        compat=torch: p ~ N(mean, std^2) given low <= p <= high
        """,
      reference: """
        jax.nn.initializers.truncated_normal, keras.initializers.TruncatedNormal; compat=torch: \
        torch.nn.init.trunc_normal_
        """,
      difference: """
        std comes first. Without `corrected`, as in all three references, the numbers vary less than std \
        says: 0.88 std with the default bounds. torch's low and high are values and not multiples of std, \
        so that its defaults truncate nothing where std is small.
        """,
      parameters: [
        Parameter(
          "std", .number, 1, lowOpen: true, "standard deviation before the tails are cut off"),
        Parameter("mean", .number, 0, from: -.infinity, "mean before that"),
        Parameter(
          "low", .number, -2, from: -.infinity, "lower bound, in multiples of std from the mean"),
        Parameter("high", .number, 2, from: -.infinity, "upper bound, likewise"),
        Parameter("corrected", .flag, 0, to: 1, "std and mean hold for what is left"),
        Parameter(
          "compat", .word, 0, to: 1, words: ["jax", "torch"],
          "whether bounds are multiples of std or values"),
      ])
  }

  let std, mean: Double
  let truncated: Truncated

  init(_ a: Arguments) throws(RavineError) {
    let std = a.number(0), mean = a.number(1)
    var (low, high) = (a.number(2), a.number(3))
    guard low < high else {
      throw .recipe("truncated_normal: low is \(low), not below high, which is \(high)")
    }
    if a.word(5) == 1 { (low, high) = ((low - mean) / std, (high - mean) / std) }
    let truncated = Truncated(low, high)
    guard truncated.isUsable else {
      throw .recipe(
        "truncated_normal: hardly any number is between \(low) and \(high) standard deviations")
    }
    self.truncated = truncated
    let scale = a.flag(4) ? std / truncated.deviation : std
    self.mean = a.flag(4) ? mean - scale * truncated.mean : mean
    self.std = scale
  }

  func fill(_ target: Target) throws(RavineError) -> Fill {
    let random = target.random, std = std, mean = mean, truncated = truncated
    return { first, count, out in
      truncated.numbers(random, first, count, out)
      for i in 0..<count { out[i] = mean + std * out[i] }
    }
  }
}
