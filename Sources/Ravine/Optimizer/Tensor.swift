import CRavine
import CShims

/// One tensor as the engine sees it. Plain memory: workers read it without counting references.
struct Tensor: BitwiseCopyable {
  var name: UnsafePointer<UInt8>
  var nameCount: Int
  var shape: UnsafePointer<Int64>
  var rank: Int
  /// Elements that this handle steps: all, or its shard. What the engine does is about these.
  var count: Int
  /// Elements of the whole tensor, and the first of them that is in the shard.
  var fullCount: Int
  var begin = 0
  /// The first rank that has one of the blocks left over from even shards.
  var turn = 0
  var type: Int32
  var givenType: Int32
  var data: UnsafeMutableRawPointer?
  /// The gradient that steps use unless they are given others.
  var bound: UnsafeRawPointer?
  /// The gradient of the step in progress, and its type; nil: none.
  var grad: UnsafeRawPointer?
  var gradType: Int32
  /// What is added to it in this step.
  var sum: UnsafeMutableRawPointer?
  /// The parameters that this step starts from, where others lie in `data`; of the arithmetic type.
  var origin: UnsafeMutableRawPointer?
  /// The first stage that it goes through: not 0 where it is what was accumulated.
  var first = 0

  /// Whether it was taken out, and only its index is left.
  var removed = false

  // Set by prepare.
  var planned = false
  var group = 0
  /// Number of its first block among all blocks of all whole tensors.
  var firstBlock = 0
  /// Its first block among those that random numbers are drawn for: not 0 for some rows, or in a shard.
  var drawn = 0
  /// One array for each slot of the rule; nil where the recipe does not need it.
  var slots: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
  /// How each of these arrays lies in memory (see SlotType).
  var types: UnsafeMutablePointer<Int32>?
  /// Whether one of them does not lie there as the arithmetic has it.
  var packed = false
  /// Of its name: what its random numbers depend on.
  var hash: UInt64 = 0
  /// The pieces of memory that these arrays lie in.
  var owners: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
  /// Updates applied so far.
  var t: UInt64 = 0
  /// Gradients that were accumulated since then.
  var accumulated: UInt64 = 0
  /// Estimates of its curvature so far.
  var curved: UInt64 = 0
  /// The last step made in parts that stepped it.
  var part: UInt64 = 0
  /// The rule's scalars for the step in progress: the group's or its own.
  var constants: UnsafeMutableRawPointer?
  var ownConstants: UnsafeMutableRawPointer?

  /// What stays in the place of a tensor that was taken out.
  static var removed: Tensor {
    let none = UnsafeRawPointer(bitPattern: 64).unsafelyUnwrapped
    var tensor = Tensor(
      name: none.assumingMemoryBound(to: UInt8.self), nameCount: 0,
      shape: none.assumingMemoryBound(to: Int64.self), rank: 0, count: 0, fullCount: 0,
      type: RVN_F32,
      givenType: RVN_F32, data: nil, bound: nil, grad: nil, gradType: RVN_F32)
    tensor.removed = true
    return tensor
  }

  var nameHash: UInt64 { NameIndex.hash(UnsafeBufferPointer(start: name, count: nameCount)) }
  var text: Text { Text(name, count: nameCount) }
  /// 1 where the arithmetic is in Double, else 0.
  var wide: Int { type == RVN_F64 ? 1 : 0 }
  var blocks: Int { blockCount(count) }
  /// The numbers of the blocks of the whole tensor, which sums are kept by.
  var sums: Range<Int> {
    let first = firstBlock - begin >> RAVINE_BLOCK_BITS
    return first..<first + blockCount(fullCount)
  }
  /// The type of the arithmetic.
  var laneType: Int32 { wide == 1 ? RVN_F64 : RVN_F32 }
  /// Bytes of an element of the arithmetic.
  var lane: Int { wide == 1 ? 8 : 4 }
  /// Whether it has 16 bits for an element, which the arithmetic is rounded to.
  var half: Bool { type == RVN_BF16 || type == RVN_F16 }
  /// Whether scalars that hang on the step are those of another.
  func counts(as other: Tensor) -> Bool {
    t == other.t && group == other.group && wide == other.wide
  }
  /// Whether it has matrices, which are the last two axes.
  var isFactorable: Bool { rank > 1 && count > 0 }
  /// State arrays are padded to whole groups of lanes.
  var padded: Int { (count + 15) & ~15 }
}

/// How many blocks so many elements take. A shift: where code is to be small, a division would stay one.
func blockCount(_ elements: Int) -> Int { (elements + RAVINE_BLOCK - 1) >> RAVINE_BLOCK_BITS }

enum ElementType {
  /// Of checkpoints only.
  static let byte: Int32 = 5

  static func size(_ type: Int32) -> Int? {
    switch type {
    case RVN_F32: 4
    case RVN_F64: 8
    case RVN_BF16, RVN_F16: 2
    default: nil
    }
  }

  /// The bits of infinity.
  static func infinity(_ type: Int32) -> UInt64 {
    switch type {
    case RVN_F32: 0x7f80_0000
    case RVN_F64: 0x7ff0_0000_0000_0000
    case RVN_BF16: 0x7f80
    default: 0x7c00
    }
  }

  static func check(_ type: Int32) throws(RavineError) {
    guard size(type) == nil else { return }
    throw RavineError(
      RVN_ERR_TYPE,
      "dtype \(type) is not one of RVN_F32 (1), RVN_F64 (2), RVN_BF16 (3), RVN_F16 (4)")
  }

  static func name(_ type: Int32) -> StaticText {
    switch type {
    case RVN_F32: "F32"
    case RVN_F64: "F64"
    case RVN_BF16: "BF16"
    case RVN_F16: "F16"
    case byte: "U8"
    default: "?"
    }
  }

  static func aligned(_ p: UnsafeRawPointer?, _ type: Int32) -> Bool {
    UInt(bitPattern: p) & UInt((size(type) ?? 1) - 1) == 0
  }
}

/// "[3, 4]"; with 1 in place of the axis `summed`.
func shapeText(_ shape: UnsafePointer<Int64>, _ rank: Int, summed: Int = -1) -> Text {
  var out: Text = "["
  for i in 0..<rank {
    if i > 0 { out.append(", ") }
    out.append("\(i == summed ? 1 : shape[i])")
  }
  out.append("]")
  return out
}

/// What may be the name of a tensor, or of another array that is watched.
func checkName(_ bytes: UnsafeBufferPointer<UInt8>) throws(RavineError) {
  guard bytes.count > 0, bytes.count <= 255 else {
    throw .name(
      "a tensor's name has 1 to 255 bytes, this one \(bytes.count == 0 ? "none" : "more")")
  }
  for c in bytes where c < 32 || c == 127 {
    throw .name("a tensor's name has the control character \(c)")
  }
  let text = Text(bytes.baseAddress.unsafelyUnwrapped, count: bytes.count)
  guard malformedUTF8(text.bytes) == nil else { throw .name("the name '\(text)' is not UTF-8") }
}

/// A tensor as a caller describes it.
public struct TensorDescription {
  public var name: UnsafePointer<CChar>?
  public var data: UnsafeMutableRawPointer?
  public var grad: UnsafeRawPointer?
  public var type: Int32
  public var gradType: Int32
  public var rank: Int32
  public var shape: UnsafePointer<Int64>?

  public init(
    name: UnsafePointer<CChar>?, data: UnsafeMutableRawPointer?, grad: UnsafeRawPointer?,
    type: Int32, gradType: Int32, rank: Int32, shape: UnsafePointer<Int64>?
  ) {
    self.name = name
    self.data = data
    self.grad = grad
    self.type = type
    self.gradType = gradType
    self.rank = rank
    self.shape = shape
  }
}

extension TensorDescription {
  /// Checks everything that one tensor can have wrong by itself, and copies name and shape.
  func checked(_ heap: Heap) throws(RavineError) -> Tensor {
    let count = try check()
    try checkMemory()
    let name = UnsafeRawPointer(name.unsafelyUnwrapped).assumingMemoryBound(to: UInt8.self)
    let length = strnlen(self.name.unsafelyUnwrapped, 256)
    let memory = try heap.allocate(UInt8.self, length + 8 * Int(rank) + 8)
    let shapeCopy = UnsafeMutableRawPointer(memory).bindMemory(
      to: Int64.self, capacity: Int(rank) + 1)
    for i in 0..<Int(rank) { shapeCopy[i] = shape.unsafelyUnwrapped[i] }
    let nameCopy = memory + 8 * Int(rank)
    nameCopy.update(from: name, count: length)
    let given = gradType == 0 ? type : gradType
    return Tensor(
      name: nameCopy, nameCount: length, shape: shapeCopy, rank: Int(rank), count: count,
      fullCount: count, type: type, givenType: given, data: data, bound: grad, grad: nil,
      gradType: given)
  }

  /// Checks the same, and gives the number of elements.
  func check() throws(RavineError) -> Int {
    guard let name else { throw .argument("tensor.name is NULL") }
    let length = strnlen(name, 256)
    let bytes = UnsafeRawPointer(name).assumingMemoryBound(to: UInt8.self)
    try checkName(UnsafeBufferPointer(start: bytes, count: length))
    let text = Text(bytes, count: length)
    guard let size = ElementType.size(type) else {
      throw RavineError(
        RVN_ERR_TYPE,
        "tensor '\(text)': dtype \(type) is not one of RVN_F32 (1), RVN_F64 (2), RVN_BF16 (3), RVN_F16 (4)"
      )
    }
    let gradType = self.gradType == 0 ? type : self.gradType
    guard ElementType.size(gradType) != nil else {
      throw RavineError(
        RVN_ERR_TYPE,
        "tensor '\(text)': grad_dtype \(gradType) is not 0 (as dtype), RVN_F32 (1), RVN_F64 (2), RVN_BF16 (3) or RVN_F16 (4)"
      )
    }
    let count = try elementCount(text, size)
    guard data != nil || count == 0 else { throw .argument("tensor '\(text)': data is NULL") }
    guard ElementType.aligned(data, type) else {
      throw .argument("tensor '\(text)': data is not aligned to its \(size)-byte elements")
    }
    guard ElementType.aligned(grad, gradType) else {
      throw .argument("tensor '\(text)': grad is not aligned to its elements")
    }
    return count
  }

  private func elementCount(_ name: Text, _ size: Int) throws(RavineError) -> Int {
    guard rank >= 0, rank <= 8 else {
      throw RavineError(RVN_ERR_SHAPE, "tensor '\(name)': rank is \(rank); 0 to 8 are allowed")
    }
    guard rank > 0 else { return 1 }
    guard let shape else { throw .argument("tensor '\(name)': shape is NULL, but rank is \(rank)") }
    var count = 1
    for i in 0..<Int(rank) {
      guard shape[i] >= 0 else {
        throw RavineError(RVN_ERR_SHAPE, "tensor '\(name)': shape[\(i)] is \(shape[i])")
      }
      let (product, overflow) = count.multipliedReportingOverflow(by: Int(shape[i]))
      guard !overflow, product <= Int.max / 64 else {
        throw RavineError(RVN_ERR_SHAPE, "tensor '\(name)': more elements than memory can hold")
      }
      count = product
    }
    return count
  }
}
