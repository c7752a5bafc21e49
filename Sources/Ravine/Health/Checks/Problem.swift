import CRavine
import CShims

/// A function of the host: a loss, and its gradient if asked for, at the parameters as they are.
public struct LossFunction {
  public typealias Call =
    @convention(c) (UnsafeMutableRawPointer?, Int32, UnsafeMutablePointer<Double>?) -> Int32

  let call: Call
  let user: UnsafeMutableRawPointer?
  /// The floating-point mode of the host, in which the function runs.
  let mode: UInt64

  public init(_ call: @escaping Call, _ user: UnsafeMutableRawPointer?, mode: UInt64) {
    self.call = call
    self.user = user
    self.mode = mode
  }
}

/// One tensor of a problem.
struct Part: BitwiseCopyable {
  let tensor: Tensor
  /// The parameters as they are, and as they were given.
  let now, was: Reals
  /// Where the function puts the gradient; nil: it does not take part.
  let gradient: Reals?
  /// The place of its first element among all elements that have a gradient.
  let first: Int

  var count: Int { tensor.count }
  var bytes: Int { tensor.count * tensor.lane }
  /// Whether parameters or gradient are Floats.
  var single: Bool { !now.wide || gradient?.wide == false }

  func restore() { memcpy(now.start, was.start, bytes) }
}

/// A function and the parameters that it depends on. A check moves them; `restore` puts back the bytes
/// that they had when they were added.
public final class Problem {
  let heap: Heap
  private let function: LossFunction
  private var table: Table<Part>
  /// Elements that have a gradient.
  private(set) var variables = 0
  /// How often the function was called.
  private(set) var evaluations: UInt64 = 0

  public init(_ function: LossFunction, _ allocator: ravine_allocator) {
    heap = Heap(allocator)
    self.function = function
    table = Table(heap)
  }

  var count: Int { table.count }
  subscript(_ i: Int) -> Part { table[i] }

  public func add(_ description: TensorDescription) throws(RavineError) {
    let tensor = try description.checked(heap)
    try Problem.check(tensor.type, "dtype", tensor.text)
    try Problem.check(tensor.gradType, "grad_dtype", tensor.text)
    let copy = try heap.allocate(tensor.count * tensor.lane)
    let part = Part(
      tensor: tensor, now: Reals(tensor.data ?? copy, wide: tensor.wide == 1),
      was: Reals(copy, wide: tensor.wide == 1),
      gradient: tensor.bound.map { Reals($0, wide: tensor.gradType == RVN_F64) }, first: variables)
    memcpy(copy, part.now.start, part.bytes)
    if let i = part.now.firstNonfinite(part.count) {
      throw RavineError(
        RVN_ERR_NONFINITE, "tensor '\(tensor.text)' is \(part.now[i]) at index \(i)")
    }
    try table.append(part)
    if part.gradient != nil { variables += part.count }
  }

  private static func check(_ type: Int32, _ what: StaticText, _ name: Text) throws(RavineError) {
    guard type == RVN_F32 || type == RVN_F64 else {
      throw RavineError(
        RVN_ERR_TYPE,
        "tensor '\(name)': \(what) is \(ElementType.name(type)); checks take RVN_F32 and RVN_F64, as 16 bits are too few for differences"
      )
    }
  }

  /// Fails where there is nothing to differentiate by.
  func needGradients() throws(RavineError) {
    guard variables > 0 else {
      throw .argument(
        table.count == 0
          ? "there is no tensor"
          : "no tensor that has elements has a gradient array (rvn_tensor.grad)")
    }
  }

  func restore() { for i in 0..<table.count { table[i].restore() } }

  /// Calls the function.
  func loss(gradient: Bool) throws(RavineError) -> Double {
    var value = Double.nan
    ravine_restore_mode(function.mode)
    let status = function.call(function.user, gradient ? 1 : 0, &value)
    _ = ravine_default_mode()
    evaluations += 1
    guard status != RVN_ERR_CANCELLED else {
      throw RavineError(RVN_ERR_CANCELLED, "the loss function asked to stop")
    }
    guard status == 0 else {
      throw RavineError(
        RVN_ERR_CALLBACK, "the loss function returned \(status), after \(evaluations) calls")
    }
    return value
  }

  /// The loss at the parameters as they were given: a function that moves them, or has no value here,
  /// cannot be checked.
  func firstLoss(gradient: Bool) throws(RavineError) -> Double {
    let value = try loss(gradient: gradient)
    for i in 0..<table.count
    where memcmp(table[i].now.start, table[i].was.start, table[i].bytes) != 0 {
      throw RavineError(
        RVN_ERR_CALLBACK,
        "the loss function changed tensor '\(table[i].tensor.text)'; it may only read the parameters"
      )
    }
    guard value.isFinite else {
      throw RavineError(RVN_ERR_NONFINITE, "the loss at the given parameters is \(value)")
    }
    return value
  }
}
