import Kernels

/// zeros: what biases begin with.
struct Zeros: Initializer {
  static var declaration: Declaration {
    Declaration(
      .initializer, "zeros", "0 everywhere", formula: "p = 0",
      reference: "torch.nn.init.zeros_, keras.initializers.Zeros", difference: "None.",
      parameters: [])
  }

  init(_ a: Arguments) throws(RavineError) {}
  func fill(_ target: Target) throws(RavineError) -> Fill { constantFill(0) }
}
