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
    where SlotType.stored(slot.type(tensor)) {
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
    try convertState(slot.array, slot.type, slot.extent, reading: true, out, type)
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
      slot.array, slot.type, slot.extent, reading: false,
      UnsafeMutableRawPointer(mutating: source), type)
  }

  /// Writes the lengths of the axes of a slot, as many as the tensor has.
  public func shape(
    _ index: Int, _ what: Text, _ out: UnsafeMutablePointer<Int64>?, _ rank: Int
  ) throws(RavineError) {
    let slot = try find(index, what), tensor = tensors[index]
    guard rank == tensor.rank else {
      throw .argument(
        "rank is \(UInt(bitPattern: rank)), but '\(tensor.text)' has \(tensor.rank) axes")
    }
    let summed = slot?.slot.summed(tensor)
    guard let out else { return }
    for k in 0..<rank { out[k] = summed == nil || summed == k ? 1 : tensor.shape[k] }
  }

  /// A slot of a tensor, and its place; nil for "step".
  private func find(_ index: Int, _ what: Text) throws(RavineError) -> (
    slot: GroupSlot, place: Int
  )? {
    let slots = try slotNames(index), tensor = tensors[index]
    if what == "step" { return nil }
    guard let found = slots.first(where: { $0.name == what }) else {
      var known: [Text] = []
      for slot in slots { known.append(slot.name) }
      known.append("step")
      throw .name("'\(tensor.text)' has no state '\(what)'; it has \(list(known))")
    }
    try checkMemory()
    return (try prepared().groups[tensor.group].slots[found.slot], found.slot)
  }

  /// The array of a slot, how it lies in memory, and a tensor with as many elements; nil for "step".
  private func state(_ index: Int, _ what: Text, _ type: Int32, _ count: Int) throws(RavineError)
    -> (array: UnsafeMutableRawPointer, type: Int32, extent: Tensor)?
  {
    try ElementType.check(type)
    let found = try find(index, what), tensor = tensors[index]
    let extent = found?.slot.extent(tensor) ?? tensor
    let wanted = found == nil ? 1 : extent.count
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
      tensor.slots.unsafelyUnwrapped[found.place] ?? nothing,
      tensor.types.unsafelyUnwrapped[found.place], extent
    )
  }
}

/// Converts elements from one storage type to another. Neither array needs to be padded.
@inline(never)
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
