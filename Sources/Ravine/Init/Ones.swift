import Kernels

/// ones: what scales of a normalization begin with.
struct Ones: Initializer {
  static var declaration: Declaration {
    Declaration(
      .initializer, "ones", "1 everywhere", formula: "p = 1",
      reference: "torch.nn.init.ones_, keras.initializers.Ones", difference: "None.",
      parameters: [])
  }

  init(_ a: Arguments) throws(RavineError) {}
  func fill(_ target: Target) throws(RavineError) -> Fill { constantFill(1) }
}
