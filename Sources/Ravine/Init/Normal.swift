import Kernels

/// normal: a normal distribution of given deviation.
struct Normal: Initializer {
  static var declaration: Declaration {
    Declaration(
      .initializer, "normal", "normally distributed", formula: "p ~ N(mean, std^2)",
      reference: "torch.nn.init.normal_, keras.initializers.RandomNormal",
      difference: """
        std comes first: normal(0.02). By inversion of the distribution function, so that no number is \
        further than 8.3 std from the mean. The default is torch's std; Keras has 0.05, jax 0.01.
        """,
      parameters: [
        Parameter("std", .number, 1, "standard deviation"),
        Parameter("mean", .number, 0, from: -.infinity, "mean"),
      ])
  }

  let std, mean: Double

  init(_ a: Arguments) throws(RavineError) { (std, mean) = (a.number(0), a.number(1)) }

  func fill(_ target: Target) throws(RavineError) -> Fill {
    let random = target.random, std = std, mean = mean
    return { first, count, out in
      random.normals(first, count, out)
      for i in 0..<count { out[i] = mean + std * out[i] }
    }
  }
}
