import Kernels

/// identity: a layer that hands its inputs on.
struct Identity: Initializer {
  static var declaration: Declaration {
    Declaration(
      .initializer, "identity",
      "hands inputs on: a matrix, or the middle of a convolution's kernel",
      formula: "p[out, in, middle] = gain where in = out mod (outputs / groups); else 0",
      reference: "torch.nn.init.eye_, dirac_; keras.initializers.Identity",
      difference: """
        One entry for both. The middle of a length n is n / 2 rounded down, as in torch. Where there are \
        other numbers of outputs than of inputs, as many are handed on as there are of both.
        """,
      parameters: [
        Parameter("gain", .number, 1, from: -.infinity, "what stands on the diagonal"),
        Parameter(
          "groups", .count, 1, from: 1, to: 1e15, "groups of outputs that see the inputs anew"),
        Layout.parameter,
      ])
  }

  let gain: Double
  let groups, layout: Int

  init(_ a: Arguments) throws(RavineError) {
    (gain, groups, layout) = (a.number(0), Int(a.number(1)), a.word(2))
  }

  func fill(_ target: Target) throws(RavineError) -> Fill {
    let axes = try Layout(target, layout, for: "identity")
    guard axes.outputs % groups == 0 else {
      throw target.unsuitable(
        "identity", "outputs (\(axes.outputs) here) that are divisible by groups (\(groups))")
    }
    let group = axes.outputs / groups, middle = axes.middle(roundingUp: true), gain = gain
    return { first, count, out in
      for i in 0..<count {
        let at = axes.place(first + i)
        out[i] = at.output % group == at.input && at.position == middle ? gain : 0
      }
    }
  }
}
