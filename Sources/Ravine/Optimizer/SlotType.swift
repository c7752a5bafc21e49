import CRavine
import CShims
import Kernels

/// How an array of state lies in memory: elements of a type, or, of a type that only state has, codes
/// of 8 bits (as many as the tensor has elements, padded), and behind them a Float for each group.
enum SlotType {
  /// The slot is not there.
  static let none: Int32 = 0
  /// The slot has no memory; lanes get what the tensor's moments by row and by column say.
  static let factored: Int32 = -1
  static let signed8: Int32 = 5
  static let positive8: Int32 = 6

  static func quantized(_ type: Int32) -> Bool { type >= signed8 }

  /// Bytes of an element; of codes what each of them has.
  static func size(_ type: Int32) -> Int { ElementType.size(type) ?? 1 }

  /// All bytes of an array of a tensor.
  static func bytes(_ type: Int32, _ tensor: Tensor) -> Int {
    bytes(type, count: tensor.count)
  }

  static func bytes(_ type: Int32, count: Int) -> Int {
    if type <= none { return 0 }
    let groups = quantized(type) ? (count + RAVINE_QUANTIZED - 1) / RAVINE_QUANTIZED : 0
    return ((count + 15) & ~15) * size(type) + 4 * groups
  }

  /// Whether there is an array, which has a name and is saved.
  static func stored(_ type: Int32) -> Bool { type > none }

  /// As the plan names it.
  static func name(_ type: Int32) -> StaticText {
    quantized(type) ? "8 bits" : ElementType.name(type)
  }
}

extension GroupSlot {
  /// How it lies in memory for a tensor.
  func type(_ tensor: Tensor) -> Int32 {
    guard needed else { return SlotType.none }
    switch kind {
    case .exact: return tensor.laneType
    case .factored: return tensor.isFactorable ? SlotType.factored : tensor.laneType
    case .rows, .columns: return tensor.isFactorable ? RVN_F64 : SlotType.none
    case .master: return tensor.half ? RVN_F32 : SlotType.none
    case .residue: return tensor.half ? tensor.type : SlotType.none
    case .signed, .positive:
      if moments == 0 { return tensor.laneType }
      if moments == 1 { return RVN_BF16 }
      return kind == .signed ? SlotType.signed8 : SlotType.positive8
    }
  }
}

extension GroupSlot {
  /// The axis on which the slot has one element for all of a tensor's; -1: there is none.
  func summed(_ tensor: Tensor) -> Int {
    kind == .rows ? tensor.rank - 1 : kind == .columns ? tensor.rank - 2 : -1
  }

  /// A tensor with as many elements as the slot has for this one.
  func extent(_ tensor: Tensor) -> Tensor {
    let axis = summed(tensor)
    guard axis >= 0, tensor.isFactorable else { return tensor }
    var own = tensor
    own.count /= Int(tensor.shape[axis])
    return own
  }
}

/// The codes of an array, and their scales, from an element on where a group begins.
struct Codes {
  let codes: UnsafeMutablePointer<UInt8>
  let scales: UnsafeMutablePointer<Float>
  let map: UnsafePointer<Float>?
  let positive: Bool

  init(
    _ array: UnsafeMutableRawPointer, _ type: Int32, _ tensor: Tensor, from element: Int,
    _ maps: (UnsafePointer<Float>?, UnsafePointer<Float>?)
  ) {
    codes = array.assumingMemoryBound(to: UInt8.self) + element
    scales =
      (array + tensor.padded).assumingMemoryBound(to: Float.self) + element / RAVINE_QUANTIZED
    positive = type == SlotType.positive8
    map = positive ? maps.1 : maps.0
  }
}

/// Converts an array of state of a tensor to elements of a type (`reading`) or from them.
func convertState(
  _ array: UnsafeMutableRawPointer, _ type: Int32, _ tensor: Tensor, reading: Bool,
  _ other: UnsafeMutableRawPointer, _ otherType: Int32
) throws(RavineError) {
  guard SlotType.quantized(type) else {
    return reading
      ? try convert(array, type, other, otherType, tensor.count)
      : try convert(other, otherType, array, type, tensor.count)
  }
  let kernels = try Catalog.shared().kernels, size = SlotType.size(otherType)
  var first = 0
  while first < tensor.count {
    let n = min(RAVINE_QUANTIZED, tensor.count - first), there = other + first * size
    let c = Codes(array, type, tensor, from: first, kernels.map)
    var group = InlineArray<256, Float>(repeating: 0)
    try withUnsafeMutableBytes(of: &group) { (memory) throws(RavineError) in
      let floats = memory.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Float.self)
      if reading {
        kernels.dequantize(c.codes, c.scales, c.map, floats, (n + 15) & ~15)
        try convert(floats, RVN_F32, there, otherType, n)
      } else {
        try convert(there, otherType, floats, RVN_F32, n)
        kernels.quantize(floats, c.codes, c.scales, c.map, c.positive ? 1 : 0, n)
      }
    }
    first += n
  }
}

/// Starts an array of state.
func fillState(_ array: UnsafeMutableRawPointer, _ type: Int32, _ tensor: Tensor, _ value: Double)
  throws(RavineError)
{
  if value == 0, type != SlotType.signed8 {
    memset(array, 0, SlotType.bytes(type, tensor))
    return
  }
  if type == RVN_F64 {
    array.bindMemory(to: Double.self, capacity: tensor.padded)
      .initialize(repeating: value, count: tensor.padded)
    return
  }
  if type == RVN_F32 {
    array.bindMemory(to: Float.self, capacity: tensor.padded)
      .initialize(repeating: Float(value), count: tensor.padded)
    return
  }
  let kernels = try Catalog.shared().kernels
  var group = InlineArray<256, Float>(repeating: Float(value)), first = 0
  withUnsafeMutableBytes(of: &group) { memory in
    let floats = memory.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Float.self)
    while first < tensor.padded {
      let n = min(RAVINE_QUANTIZED, tensor.padded - first)
      if SlotType.quantized(type) {
        let c = Codes(array, type, tensor, from: first, kernels.map)
        kernels.quantize(floats, c.codes, c.scales, c.map, c.positive ? 1 : 0, n)
      } else {
        kernels.store[2 * Int(type)].unsafelyUnwrapped(floats, array + 2 * first, n)
      }
      first += n
    }
  }
}
