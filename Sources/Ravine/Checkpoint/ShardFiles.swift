import CRavine
import CShims
import Kernels

// A checkpoint of a sharded optimizer is a file for each rank. Its arrays have the elements of that rank,
// in one dimension; in the metadata "begin/w" is the first of them, and "shape/w" that of the whole.

/// The elements of a tensor that a file has.
struct FileShard: BitwiseCopyable {
  var begin = 0
  var count: Int
  /// Whether it was saved as a shard.
  var cut = false

  var end: Int { begin + count }
}

extension Optimizer {
  /// Notes which elements of a tensor a file has.
  func saveShard(_ i: Int, _ out: Document) throws(RavineError) {
    guard isSharded else { return }
    let tensor = tensors[i], name = tensor.text
    let shape = shapeText(tensor.shape, tensor.rank)
    try out.append(
      ",\(quoted("begin/\(name)")):\"\(tensor.begin)\",\(quoted("shape/\(name)")):\"\(shape)\"")
  }

  /// Finds out which elements of each tensor a file has.
  func readShards(_ file: CheckpointFile, _ items: Int) throws(RavineError) {
    file.sources = try file.heap.allocate(Int.self, items)
    file.shards = try file.heap.allocate(FileShard.self, tensors.count)
    for i in 0..<tensors.count {
      let tensor = tensors[i], name = tensor.text
      file.shards[i] = FileShard(count: tensor.fullCount)
      guard let begin = try file.counter("begin/\(name)"),
        let record = file.keys.find("param/\(name)")
      else { continue }
      // Shards begin, and end, at blocks.
      let count = file.records[record].length(0), full = UInt64(tensor.fullCount)
      let end = begin + UInt64(count), block = UInt64(RAVINE_BLOCK)
      if end <= full, begin % block == 0 || count == 0,
        end % block == 0 || end == full || count == 0
      {
        file.shards[i] = FileShard(begin: Int(begin), count: count, cut: true)
        continue
      }
      file.shards[i] = FileShard(count: -1, cut: true)  // matches nothing
      if file.value("shape/\(name)") == shapeText(tensor.shape, tensor.rank) {
        throw .format(
          "'\(name)' has \(count) elements from \(begin) on, which is no shard of \(full)")
      }
    }
  }

  /// What is wrong with array number i of the handle in the files; nil: together they have all of it.
  func match(_ i: Int, _ item: Item, _ files: [CheckpointFile]) throws(RavineError) -> Text? {
    let key = try key(item)
    try checkMemory()
    var difference: Text?
    for file in files {
      file.sources[i] = file.keys.find(key) ?? -1
      if difference == nil { difference = self.difference(file.sources[i], item, key, file) }
      if file.sources[i] >= 0 { file.records[file.sources[i]].used = true }
    }
    if difference != nil || item.tensor < 0 { return difference }
    let end = tensors[item.tensor].begin + tensors[item.tensor].count
    var at = tensors[item.tensor].begin, from = -1
    while at < end, from != at {
      from = at
      for file in files {
        let shard = file.shards[item.tensor]
        if shard.begin <= at { at = max(at, shard.end) }
      }
    }
    return at >= end
      ? nil : "missing \(key): elements from \(at) on, which are in another rank's file"
  }

  private func difference(_ i: Int, _ item: Item, _ key: Text, _ file: CheckpointFile) -> Text? {
    guard i >= 0 else { return "missing \(key)" }
    let r = file.records[i]
    var same = r.type == item.type, own: Text = "[]", other = r.shapeText
    if item.tensor >= 0 {
      let tensor = tensors[item.tensor], there = file.shards[item.tensor]
      own = shapeText(tensor.shape, tensor.rank, summed: summed(item))
      if item.type == ElementType.byte {
        let type = tensor.types.unsafelyUnwrapped[item.slot]
        own = "[\(SlotType.bytes(type, count: there.count))]"
      } else if there.cut {
        same = same && other == "[\(there.count)]"
        other = file.value("shape/\(tensor.text)") ?? other
      }
    }
    if same && other == own { return nil }
    return
      "different \(key): file \(ElementType.name(r.type)) \(other), here \(ElementType.name(item.type)) \(own)"
  }

  /// Copies what a file has of array number i of the handle.
  func copy(_ i: Int, _ item: Item, _ file: CheckpointFile) {
    guard let memory = item.memory, let data = file.data, item.bytes > 0 else { return }
    let from = data + file.records[file.sources[i]].begin
    if item.tensor < 0 || summed(item) >= 0 {
      memcpy(memory, from, item.bytes)
      return
    }
    let tensor = tensors[item.tensor], there = file.shards[item.tensor]
    let begin = max(tensor.begin, there.begin)
    let end = min(tensor.begin + tensor.count, there.end)
    if begin >= end { return }
    let to = begin - tensor.begin, at = begin - there.begin
    guard item.type == ElementType.byte else {
      let size = ElementType.size(item.type) ?? 1
      memcpy(memory + to * size, from + at * size, (end - begin) * size)
      return
    }
    // Codes, padded where the tensor ends; their scales lie behind those of the whole shard.
    memcpy(memory + to, from + at, (end - begin + 15) & ~15)
    let group = RAVINE_QUANTIZED
    memcpy(
      memory + tensor.padded + 4 * (to / group),
      from + ((there.count + 15) & ~15) + 4 * (at / group), 4 * ((end - begin + group - 1) / group))
  }
}

extension Record {
  var shapeText: Text {
    withUnsafeBytes(of: shape) { bytes in
      Ravine.shapeText(
        bytes.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Int64.self), rank)
    }
  }
}
