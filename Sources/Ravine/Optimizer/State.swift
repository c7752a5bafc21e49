import CRavine
import CShims
import Kernels

extension Optimizer {
  /// The names of the slots of a tensor, in order, with their place.
  func slotNames(_ index: Int) throws(RavineError) -> [(name: Text, slot: Int)] {
    let plan = try prepared(), tensor = try self.tensor(index)
    guard tensor.planned else {
      throw .state("'\(tensor.text)' came after prepare: call rvn_optimizer_prepare, or step once")
    }
    var out: [(name: Text, slot: Int)] = []
    for (k, slot) in plan.groups[tensor.group].slots.enumerated()
    where slot.type(tensor) != SlotType.none {
      out.append((slot.name, k))
    }
    return out
  }

  public func slots(_ index: Int) throws(RavineError) -> Text {
    var names: [Text] = []
    for slot in try slotNames(index) { names.append(slot.name) }
    var out = Text()
    for (i, name) in names.enumerated() {
      if i > 0 { out.append(",") }
      out.append(name)
    }
    try checkMemory()
    return out
  }

  public func read(
    _ index: Int, _ what: Text, _ type: Int32, _ out: UnsafeMutableRawPointer, _ count: Int
  ) throws(RavineError) {
    guard let slot = try state(index, what, type, count) else {
      var t = Double(tensors[index].t)
      try convert(&t, RVN_F64, out, type, 1)
      return
    }
    try convertState(slot.array, slot.type, tensors[index], reading: true, out, type)
  }

  public func write(
    _ index: Int, _ what: Text, _ type: Int32, _ source: UnsafeRawPointer, _ count: Int
  ) throws(RavineError) {
    guard let slot = try state(index, what, type, count) else {
      let t = element(source, type, 0)
      guard t >= 0, t < 0x1p53, t == t.rounded(.down) else {
        throw .argument("'step' of '\(tensors[index].text)' is \(t), not a whole number from 0")
      }
      tensors[index].t = UInt64(t)
      return
    }
    try convertState(
      slot.array, slot.type, tensors[index], reading: false,
      UnsafeMutableRawPointer(mutating: source), type)
  }

  /// The array of a slot, and how it lies in memory; nil for "step".
  private func state(_ index: Int, _ what: Text, _ type: Int32, _ count: Int) throws(RavineError)
    -> (array: UnsafeMutableRawPointer, type: Int32)?
  {
    let slots = try slotNames(index), tensor = tensors[index]
    guard ElementType.size(type) != nil else {
      throw RavineError(
        RVN_ERR_TYPE,
        "dtype \(type) is not one of RVN_F32 (1), RVN_F64 (2), RVN_BF16 (3), RVN_F16 (4)")
    }
    let step = what == "step"
    let found = slots.first { $0.name == what }
    guard step || found != nil else {
      var known: [Text] = []
      for slot in slots { known.append(slot.name) }
      known.append("step")
      throw .name("'\(tensor.text)' has no state '\(what)'; it has \(list(known))")
    }
    try checkMemory()
    let wanted = step ? 1 : tensor.count
    guard count == wanted else {
      throw RavineError(
        RVN_ERR_SHAPE,
        "count is \(UInt(bitPattern: count)), but '\(what)' of '\(tensor.text)' has \(wanted) elements"
      )
    }
    guard let found else { return nil }
    // Without elements it has no array.
    let nothing = UnsafeMutableRawPointer(bitPattern: 64).unsafelyUnwrapped
    return (
      tensor.slots.unsafelyUnwrapped[found.slot] ?? nothing,
      tensor.types.unsafelyUnwrapped[found.slot]
    )
  }
}

/// Converts elements from one storage type to another. Neither array needs to be padded.
func convert(
  _ source: UnsafeRawPointer, _ from: Int32, _ target: UnsafeMutableRawPointer, _ to: Int32,
  _ count: Int
) throws(RavineError) {
  let sourceSize = ElementType.size(from) ?? 1, targetSize = ElementType.size(to) ?? 1
  guard from != to else {
    memmove(target, source, count * sourceSize)
    return
  }
  let kernels = try Catalog.shared().kernels
  var i = 0
  // Sixteen at a time through padded groups: this is not where time is spent.
  var groups: (SIMD16<Double>, SIMD16<Double>, SIMD16<Double>) = (.zero, .zero, .zero)
  withUnsafeMutableBytes(of: &groups) { memory in
    let base = memory.baseAddress.unsafelyUnwrapped
    while i < count {
      let n = min(16, count - i)
      memcpy(base, source + i * sourceSize, n * sourceSize)
      kernels.load[2 * Int(from) + 1].unsafelyUnwrapped(base, base + 128, 16)
      kernels.store[2 * Int(to) + 1].unsafelyUnwrapped(base + 128, base + 256, 16)
      memcpy(target + i * targetSize, base + 256, n * targetSize)
      i += n
    }
  }
}
