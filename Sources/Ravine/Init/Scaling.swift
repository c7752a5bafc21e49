import Kernels

/// Random numbers with mean 0 and a given standard deviation.
enum Distribution: Int {
  case normal, truncated, uniform

  func fill(_ random: Philox, std: Double) -> Fill {
    switch self {
    case .normal:
      return { first, count, out in
        random.normals(first, count, out)
        for i in 0..<count { out[i] *= std }
      }
    case .truncated:
      let truncated = Truncated(-2, 2)
      let scale = std / truncated.deviation
      return { first, count, out in
        truncated.numbers(random, first, count, out)
        for i in 0..<count { out[i] *= scale }
      }
    case .uniform:
      let width = 12.0.squareRoot() * std
      return { first, count, out in
        random.uniforms(first, count, out)
        for i in 0..<count { out[i] *= width }
      }
    }
  }
}

extension Parameter {
  static func distribution(_ initial: Distribution) -> Parameter {
    Parameter(
      "distribution", .word, Double(initial.rawValue), to: 2,
      words: ["normal", "truncated", "uniform"],
      "normal; normal within two of its own standard deviations, with std all the same; uniform")
  }
}

extension Arguments {
  func distribution(_ i: Int) -> Distribution { Distribution(rawValue: word(i)) ?? .normal }
}

/// By how much a nonlinearity wants its weights larger: torch.nn.init.calculate_gain.
struct Gain {
  static func parameters(_ initial: Int) -> [Parameter] {
    [
      Parameter(
        "nonlinearity", .word, Double(initial), to: 5,
        words: ["linear", "sigmoid", "tanh", "relu", "selu", "leaky_relu"],
        "what stands behind the weights: a factor of 1, 1, 5/3, sqrt(2), 3/4 or sqrt(2 / (1 + slope^2))"
      ),
      Parameter(
        "slope", .number, 0, from: -.infinity, "of leaky_relu, for numbers below 0"),
      Parameter("gain", .number, 1, "one more factor of the standard deviation"),
    ]
  }

  let value: Double

  /// From three arguments, beginning with the nonlinearity.
  init(_ a: Arguments, at k: Int, for who: StaticText) throws(RavineError) {
    let slope = a.number(k + 1)
    if slope != 0, a.word(k) != 5 {
      throw .recipe("\(who): slope is \(slope), but is for nonlinearity=leaky_relu")
    }
    let gains = [1, 1, 5.0 / 3, 2.0.squareRoot(), 0.75, (2 / (1 + slope * slope)).squareRoot()]
    value = gains[a.word(k)] * a.number(k + 2)
  }
}

/// A standard normal number on condition that it is between two bounds.
struct Truncated {
  private let low, high: Double
  /// Probabilities of being below the bounds, of the mirrored numbers where `mirrored`.
  private let below, within: Double
  private let mirrored: Bool
  let mean, deviation: Double

  init(_ low: Double, _ high: Double) {
    mirrored = low > 0  // the lower tail is the exact one
    (self.low, self.high) = mirrored ? (-high, -low) : (low, high)
    below = Math.normalCumulative(self.low)
    within = Math.normalCumulative(self.high) - below
    let a = Math.normalDensity(low) / within, b = Math.normalDensity(high) / within
    mean = a - b
    deviation = (1 + low * a - high * b - mean * mean).squareRoot()
  }

  /// Whether there is enough between the bounds for numbers of 53 bits.
  var isUsable: Bool { within > 1e-290 && deviation > 0 }

  func numbers(_ random: Philox, _ first: Int, _ count: Int, _ out: UnsafeMutablePointer<Double>) {
    random.uniforms(first, count, out)
    for i in 0..<count {
      let x = Math.normalQuantile(below + (out[i] + 0.5) * within)
      let inside = x < low ? low : x > high ? high : x
      out[i] = mirrored ? -inside : inside
    }
  }
}
