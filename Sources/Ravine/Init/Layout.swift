import Kernels

/// Which axes of a weight are its outputs and inputs; the others are positions of a kernel.
struct Layout {
  let outputs, inputs, positions: Int
  private let lastIsOutput: Bool
  private let lengths: [Int]

  static var parameter: Parameter {
    Parameter(
      "layout", .word, 0, to: 1, words: ["torch", "keras"],
      "order of the axes: torch (out, in, kernel...), keras, flax and numpy's x @ w (kernel..., in, out)"
    )
  }

  /// Ranks that have both axes.
  init(_ target: Target, _ word: Int, for who: StaticText) throws(RavineError) {
    guard target.rank >= 2 else {
      throw target.unsuitable(
        who, "outputs and inputs, which are two axes of the tensor at least (for a bias take zeros)"
      )
    }
    var lengths: [Int] = []
    for i in 0..<target.rank { lengths.append(Int(target.shape[i])) }
    lastIsOutput = word == 1
    if lastIsOutput {
      outputs = lengths.removeLast()
      inputs = lengths.removeLast()
    } else {
      outputs = lengths.removeFirst()
      inputs = lengths.removeFirst()
    }
    self.lengths = lengths
    positions = target.count / outputs / inputs
  }

  /// The axes of element i.
  @inline(__always)
  func place(_ i: Int) -> (output: Int, input: Int, position: Int) {
    lastIsOutput
      ? (i % outputs, i / outputs % inputs, i / (outputs * inputs))
      : (i / (inputs * positions), i / positions % inputs, i % positions)
  }

  /// The position in the middle of the kernel, or the one before it where a length is even.
  func middle(roundingUp: Bool) -> Int {
    var at = 0
    for n in lengths { at = at * n + (roundingUp ? n : n - 1) / 2 }
    return at
  }

  /// What a weight's variance is scaled by.
  enum Fan: Int {
    case inputs, outputs, average, geometric
  }

  func fan(_ which: Fan) -> Double {
    let into = Double(inputs) * Double(positions), out = Double(outputs) * Double(positions)
    switch which {
    case .inputs: return into
    case .outputs: return out
    case .average: return (into + out) / 2
    case .geometric: return (into * out).squareRoot()
    }
  }
}

extension Parameter {
  static func fan(_ initial: Layout.Fan) -> Parameter {
    Parameter(
      "fan", .word, Double(initial.rawValue), to: 3, words: ["in", "out", "avg", "geo"],
      "connections that the variance is divided by: into a unit, out of it, their mean or geometric mean"
    )
  }
}

extension Arguments {
  func fan(_ i: Int) -> Layout.Fan { Layout.Fan(rawValue: word(i)) ?? .inputs }
}
