import Kernels

/// forget_bias: an LSTM that remembers at first.
struct ForgetBias: Initializer {
  static var declaration: Declaration {
    Declaration(
      .initializer, "forget_bias", "the bias of an LSTM: value at the forget gates, 0 elsewhere",
      formula: "p = value in the quarter of the forget gates; else 0",
      reference: """
        Gers et al. 2000; Jozefowicz et al. 2015; keras.layers.LSTM(unit_forget_bias=True)
        """,
      difference: """
        For a vector of 4 x units, gates one after the other. torch adds two biases, bias_ih and bias_hh: \
        give it to one of them, and zeros to the other.
        """,
      parameters: [
        Parameter("value", .number, 1, from: -.infinity, "bias of the forget gates"),
        Parameter(
          "gates", .word, 0, to: 2, words: ["ifgo", "igfo", "iofg"],
          "order of input, forget, cell (g) and output gates: ifgo torch, Keras, flax; igfo TensorFlow's LSTMCell; iofg ONNX"
        ),
      ])
  }

  let value: Double
  let place: Int

  init(_ a: Arguments) throws(RavineError) {
    value = a.number(0)
    place = [1, 2, 2][a.word(1)]
  }

  func fill(_ target: Target) throws(RavineError) -> Fill {
    guard target.rank == 1, target.count % 4 == 0 else {
      throw target.unsuitable("forget_bias", "a vector with a length that is divisible by 4")
    }
    let units = target.count / 4
    let gate = place * units..<(place + 1) * units, value = value
    return { first, count, out in
      for i in 0..<count { out[i] = gate.contains(first + i) ? value : 0 }
    }
  }
}
