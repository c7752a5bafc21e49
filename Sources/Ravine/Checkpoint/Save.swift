import CRavine
import CShims
import Kernels

/// One array of a checkpoint, as it lies in memory.
struct Item: BitwiseCopyable {
  /// -1: a number of the handle.
  var tensor: Int
  /// -1: the parameters; else which slot, or which number.
  var slot: Int
  /// An element type, or ElementType.byte for codes with their scales, as they lie in memory.
  var type: Int32
  var memory: UnsafeMutableRawPointer?
  var bytes: Int
}

extension Optimizer {
  /// Writes everything that continuing needs, in one safetensors file: beside the target, and then
  /// renamed over it.
  public func save(_ path: UnsafePointer<CChar>) throws(RavineError) {
    try checkPoison()
    try checkClosed()
    try preparing { () throws(RavineError) in try preparedSave(path) }
  }

  private func preparedSave(_ path: UnsafePointer<CChar>) throws(RavineError) {
    let heap = Heap(options.allocator)
    let items = try self.items(heap)
    let header = try self.header(items)
    let error = ravine_file_target(path)
    if error != 0 { throw Optimizer.failure("replace", path, error) }
    var attempt: UInt64 = 0
    while true {
      let temporary = try temporaryPath(path, attempt, heap)
      try checkMemory()
      var file = ravine_file()
      let error = ravine_file_create(temporary, &file)
      if error == 17, attempt < 100 {  // EEXIST: left behind by a process of the same number
        attempt += 1
        continue
      }
      if error != 0 { throw Optimizer.failure("write", path, error) }
      do throws(RavineError) {
        try write(header, items, &file, path)
        let error = ravine_file_rename(temporary, path)
        if error != 0 { throw Optimizer.failure("rename to", path, error) }
      } catch {
        ravine_file_remove(temporary)
        throw error
      }
      return
    }
  }

  /// All arrays, parameters first, wider elements before narrower ones so that each is aligned.
  func items(_ heap: Heap) throws(RavineError) -> Items {
    let items = Items(heap)
    if let scalars {
      for k in 0..<scalars.names.count {
        try items.table.append(
          Item(tensor: -1, slot: k, type: RVN_F64, memory: scalars.values + k, bytes: 8))
      }
    }
    for size in [8, 4, 2, 1] {
      for i in 0..<tensors.count
      where !tensors[i].removed && ElementType.size(tensors[i].type) == size {
        try items.table.append(
          Item(
            tensor: i, slot: -1, type: tensors[i].type, memory: tensors[i].data,
            bytes: tensors[i].count * size))
      }
      for i in 0..<tensors.count where !tensors[i].removed {
        for (_, slot) in try slotNames(i) {
          let tensor = tensors[i], type = tensor.types.unsafelyUnwrapped[slot]
          guard SlotType.size(type) == size else { continue }
          let codes = SlotType.quantized(type)
          let extent = try prepared().groups[tensor.group].slots[slot].extent(tensor)
          try items.table.append(
            Item(
              tensor: i, slot: slot, type: codes ? ElementType.byte : type,
              memory: tensor.slots.unsafelyUnwrapped[slot],
              bytes: codes ? SlotType.bytes(type, tensor) : extent.count * size))
        }
      }
    }
    return items
  }

  /// Of codes with their scales: how many bytes they are.
  func lengths(of item: Item) -> Text {
    if item.type == ElementType.byte { return "[\(item.bytes)]" }
    if item.tensor < 0 { return "[]" }
    if isSharded { return "[\(tensors[item.tensor].count)]" }
    return shapeText(
      tensors[item.tensor].shape, tensors[item.tensor].rank, summed: summed(item))
  }

  /// The axis of its tensor on which an array has one element; -1: none.
  func summed(_ item: Item) -> Int {
    guard let plan, item.tensor >= 0, item.slot >= 0 else { return -1 }
    let tensor = tensors[item.tensor]
    return plan.groups[tensor.group].slots[item.slot].summed(tensor)
  }

  /// "param/w", "state/w/m" or "number/unscale.scale".
  func key(_ item: Item) throws(RavineError) -> Text {
    if item.tensor < 0, let scalars { return "number/\(scalars.names[item.slot])" }
    let name = tensors[item.tensor].text
    if item.slot < 0 { return "param/\(name)" }
    let group = try prepared().groups[tensors[item.tensor].group]
    return "state/\(name)/\(group.slots[item.slot].name)"
  }

  /// What steps a tensor, as a checkpoint names it.
  func ruleName(_ i: Int) throws(RavineError) -> Text {
    let rule = try prepared().groupWork[tensors[i].group].rule
    return rule < 0 ? "frozen" : Text(try Catalog.shared().rule(rule).declaration.name)
  }

  private func header(_ items: Items) throws(RavineError) -> Document {
    let out = Document(options.allocator)
    try out.append("{\"__metadata__\":{\"format\":\"ravine\",\"version\":\"1\"")
    try out.append(",\"recipe\":\(quoted(try print(recipe)))")
    try out.append(",\"step\":\"\(step)\",\"skips\":\"\(UInt64(skips))\"")
    if accumulated > 0 { try out.append(",\"accumulated\":\"\(accumulated)\"") }
    if perturbed { try out.append(",\"perturbed\":\"1\"") }
    if isSharded {
      try out.append(",\"rank\":\"\(options.rank)\",\"world\":\"\(options.world)\"")
    }
    try saveReactions(out)
    for i in 0..<tensors.count where !tensors[i].removed {
      try out.append(",\(quoted("step/\(tensors[i].text)")):\"\(tensors[i].t)\"")
      try out.append(",\(quoted("rule/\(tensors[i].text)")):\"\(try ruleName(i))\"")
      try saveShard(i, out)
      if tensors[i].accumulated > 0 {
        let key = quoted("accumulated/\(tensors[i].text)")
        try out.append(",\(key):\"\(tensors[i].accumulated)\"")
      }
      if tensors[i].curved > 0 {
        try out.append(",\(quoted("curved/\(tensors[i].text)")):\"\(tensors[i].curved)\"")
      }
    }
    try out.append("}")
    var offset = 0
    for i in 0..<items.table.count {
      let item = items.table[i]
      try out.append(",\(quoted(try key(item))):{\"dtype\":\"\(ElementType.name(item.type))\"")
      try out.append(",\"shape\":\(lengths(of: item))")
      try out.append(",\"data_offsets\":[\(offset),\(offset + item.bytes)]}")
      offset += item.bytes
    }
    try out.append("}")
    while out.count % 8 != 0 { try out.append(" ") }
    return out
  }

  private func write(
    _ header: Document, _ items: Items, _ file: inout ravine_file, _ path: UnsafePointer<CChar>
  ) throws(RavineError) {
    var length = UInt64(header.count)
    var error = ravine_file_write(&file, &length, 8)
    if error == 0 { error = ravine_file_write(&file, header.start, header.count) }
    for i in 0..<items.table.count where error == 0 && items.table[i].bytes > 0 {
      error = ravine_file_write(&file, items.table[i].memory, items.table[i].bytes)
    }
    if error == 0 { error = ravine_file_sync(&file) }
    ravine_file_close(&file)
    if error != 0 { throw Optimizer.failure("write", path, error) }
  }

  private func temporaryPath(_ path: UnsafePointer<CChar>, _ attempt: UInt64, _ heap: Heap)
    throws(RavineError) -> UnsafeMutablePointer<CChar>
  {
    let suffix: Text = ".ravine-\(ravine_process_number())-\(attempt).tmp"
    var n = strlen(path)
    while n > 0, path[n - 1] != CChar(bitPattern: UInt8(ascii: "/")) { n -= 1 }
    let out = try heap.zeros(CChar.self, n + suffix.bytes.count + 1)
    memcpy(out, path, n)
    for i in 0..<suffix.bytes.count { out[n + i] = CChar(bitPattern: suffix.bytes[i]) }
    return out
  }

  static func failure(_ what: Text, _ path: UnsafePointer<CChar>, _ error: Int32) -> RavineError {
    var reason = [CChar](repeating: 0, count: 128)
    if error > 0 { ravine_error_text(error, &reason, 128) }
    var text: Text = error == RAVINE_NOT_A_FILE ? "it is not a regular file" : ""
    for c in reason {
      if c == 0 { break }
      text.bytes.append(UInt8(bitPattern: c))
    }
    return RavineError(RVN_ERR_IO, "cannot \(what) '\(pathText(path))': \(text)")
  }
}

/// A path as it stands in a sentence.
func pathText(_ path: UnsafePointer<CChar>) -> Text {
  let raw = UnsafeRawPointer(path).assumingMemoryBound(to: UInt8.self)
  return Text(raw, count: strnlen(path, 256))
}

/// A list of arrays, by reference.
final class Items {
  var table: Table<Item>
  init(_ heap: Heap) { table = Table(heap) }
}

/// As a JSON string.
func quoted(_ text: Text) -> Text {
  var out: [UInt8] = [UInt8(ascii: "\"")]
  for c in text.bytes {
    switch c {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"):
      out.append(UInt8(ascii: "\\"))
      out.append(c)
    case 0..<32, 127:
      let digits: StaticText = "0123456789abcdef"
      out.append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "u"), 48, 48])
      out.append(digits.start[Int(c >> 4)])
      out.append(digits.start[Int(c & 15)])
    default: out.append(c)
    }
  }
  out.append(UInt8(ascii: "\""))
  return Text(out)
}
