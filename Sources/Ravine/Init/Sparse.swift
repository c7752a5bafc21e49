import Kernels

/// sparse: each input goes to a few units only.
struct Sparse: Initializer {
  static var declaration: Declaration {
    Declaration(
      .initializer, "sparse", "normal numbers, of which a given share is 0",
      formula: "p ~ N(0, std^2); for each input, ceil(sparsity outputs) of its weights are 0",
      reference: "torch.nn.init.sparse_; Martens 2010",
      difference: """
        As torch, of the weights of each input; the paper counts those of each unit. Which is drawn by \
        a keyed permutation for each input. Matrices only.
        """,
      parameters: [
        Parameter("sparsity", .number, nil, to: 1, highOpen: false, "share of zeros"),
        Parameter("std", .number, 0.01, "standard deviation of the others"), Layout.parameter,
      ])
  }

  let sparsity, std: Double
  let layout: Int

  init(_ a: Arguments) throws(RavineError) {
    (sparsity, std, layout) = (a.number(0), a.number(1), a.word(2))
  }

  func fill(_ target: Target) throws(RavineError) -> Fill {
    guard target.rank == 2 else { throw target.unsuitable("sparse", "a matrix") }
    let axes = try Layout(target, layout, for: "sparse"), std = std
    let outputs = UInt64(axes.outputs), share = sparsity * Double(outputs)
    let zeros = UInt64(share) + (share > Double(UInt64(share)) ? 1 : 0)
    let numbers = target.random.child(0), orders = target.random.child(1)
    return { first, count, out in
      numbers.normals(first, count, out)
      for i in 0..<count {
        let at = axes.place(first + i)
        let order = Permutation(outputs, orders.child(UInt64(at.input)))
        out[i] = order[UInt64(at.output)] < zeros ? 0 : std * out[i]
      }
    }
  }
}
