import Kernels

/// delta_orthogonal: an orthogonal matrix in the middle of a convolution's kernel.
struct DeltaOrthogonal: Initializer {
  static var declaration: Declaration {
    Declaration(
      .initializer, "delta_orthogonal", "a kernel that is orthogonal in its middle and 0 elsewhere",
      formula: "p[out, in, middle] = gain Q[out, in], where Q^T Q = 1; else 0",
      reference: "Xiao et al. 2018, arXiv:1806.05393; jax.nn.initializers.delta_orthogonal",
      difference: """
        The middle of a length n is (n - 1) / 2 rounded down, as in jax. There must not be more inputs than \
        outputs. Any rank from 3 on. With one input and output for each channel (depthwise) it is a sign.
        """,
      parameters: [
        Parameter("gain", .number, 1, from: -.infinity, "by how much lengths grow"),
        Layout.parameter,
      ])
  }

  let gain: Double
  let layout: Int

  init(_ a: Arguments) throws(RavineError) { (gain, layout) = (a.number(0), a.word(1)) }

  func fill(_ target: Target) throws(RavineError) -> Fill {
    guard target.rank >= 3 else {
      throw target.unsuitable("delta_orthogonal", "the kernel of a convolution, three axes or more")
    }
    let axes = try Layout(target, layout, for: "delta_orthogonal")
    guard axes.inputs <= axes.outputs else {
      throw target.unsuitable(
        "delta_orthogonal",
        "as many outputs as inputs at least (\(axes.inputs) and \(axes.outputs) here; see layout)")
    }
    let q = try OrthogonalMatrix(axes.outputs, axes.inputs, target)
    let middle = axes.middle(roundingUp: false), gain = gain
    return { first, count, out in
      for i in 0..<count {
        let at = axes.place(first + i)
        out[i] = at.position == middle ? gain * q[at.output, at.input] : 0
      }
    }
  }
}
