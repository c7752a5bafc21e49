import CRavine
import CShims

/// One array as a checkpoint's header describes it.
struct Record: BitwiseCopyable {
  var type: Int32 = 0
  var rank = 0
  var shape: (Int, Int, Int, Int, Int, Int, Int, Int) = (0, 0, 0, 0, 0, 0, 0, 0)
  var begin = 0
  var end = 0
  /// Whether some array of the handle took it.
  var used = false
}

/// A checkpoint's header, read and checked, and its data.
final class CheckpointFile {
  let heap: Heap
  var keys: NameIndex
  var records: Table<Record>
  var metadata: NameIndex
  private var values: Table<UnsafeBufferPointer<UInt8>>
  private(set) var data: UnsafeMutableRawPointer?
  /// For each tensor of the handle which elements are here, and for each array its record; -1: none.
  var shards = UnsafeMutablePointer<FileShard>(bitPattern: 64).unsafelyUnwrapped
  var sources = UnsafeMutablePointer<Int>(bitPattern: 64).unsafelyUnwrapped

  static let headerLimit: UInt64 = 100_000_000

  private init(_ allocator: ravine_allocator) {
    heap = Heap(allocator)
    keys = NameIndex(heap)
    metadata = NameIndex(heap)
    records = Table(heap)
    values = Table(heap)
  }

  static func read(_ path: UnsafePointer<CChar>, _ allocator: ravine_allocator)
    throws(RavineError) -> CheckpointFile
  {
    let checkpoint = CheckpointFile(allocator)
    var file = ravine_file()
    let error = ravine_file_open(path, &file)
    if error != 0 { throw Optimizer.failure("open", path, error) }
    defer { ravine_file_close(&file) }
    try checkpoint.read(&file, path)
    return checkpoint
  }

  private func read(_ file: inout ravine_file, _ path: UnsafePointer<CChar>) throws(RavineError) {
    var length: UInt64 = 0
    guard file.size >= 8 else {
      throw .format("the file has \(file.size) bytes; it is not a checkpoint")
    }
    try get(&length, 8, &file, path)
    guard length >= 2, length <= CheckpointFile.headerLimit, length <= file.size - 8 else {
      throw .format(
        "the header says it has \(length) bytes, but the file has \(file.size): not a safetensors file, or cut short"
      )
    }
    let text = try heap.allocate(UInt8.self, Int(length))
    try get(text, Int(length), &file, path)
    try parse(UnsafeBufferPointer(start: text, count: Int(length)))
    let size = file.size - 8 - length
    try checkOffsets(size)
    guard size <= UInt64(Int.max / 2) else { throw .memory }
    let memory = try heap.allocate(Int(size))
    try get(memory, Int(size), &file, path)
    data = memory
  }

  private func get(
    _ out: UnsafeMutableRawPointer, _ size: Int, _ file: inout ravine_file,
    _ path: UnsafePointer<CChar>
  ) throws(RavineError) {
    let error = ravine_file_read(&file, out, size)
    if error < 0 { throw .format("the file is cut short") }
    if error != 0 { throw Optimizer.failure("read", path, error) }
  }

  private func parse(_ text: UnsafeBufferPointer<UInt8>) throws(RavineError) {
    var json = JSONReader(text, strings: try heap.allocate(UInt8.self, text.count))
    try json.expect("{", "'{'")
    if !json.take("}") {
      repeat {
        let key = try json.string()
        try json.expect(":", "':'")
        if Text(Array(key.prefix(16))) == "__metadata__" {
          try parseMetadata(&json)
        } else {
          try parseRecord(key, &json)
        }
        try checkMemory()
      } while json.take(",")
      try json.expect("}", "',' or '}'")
    }
    try json.end()
  }

  private func parseMetadata(_ json: inout JSONReader) throws(RavineError) {
    try json.expect("{", "'{'")
    if json.take("}") { return }
    repeat {
      let key = try json.string()
      try json.expect(":", "':'")
      let value = try json.string()
      try insert(key, into: &metadata, json)
      try values.append(value)
    } while json.take(",")
    try json.expect("}", "',' or '}'")
  }

  private func insert(
    _ key: UnsafeBufferPointer<UInt8>, into index: inout NameIndex, _ json: JSONReader
  ) throws(RavineError) {
    guard index.find(key) == nil else { throw json.damaged("a name that was not there before") }
    try index.insert(key.baseAddress.unsafelyUnwrapped, key.count)
  }

  private func parseRecord(_ key: UnsafeBufferPointer<UInt8>, _ json: inout JSONReader)
    throws(RavineError)
  {
    var record = Record(), fields = 0
    try json.expect("{", "'{'")
    repeat {
      let field = Text(Array(try json.string().prefix(16)))
      try json.expect(":", "':'")
      if field == "dtype" {
        let name = Text(Array(try json.string().prefix(16)))
        for type in [RVN_F32, RVN_F64, RVN_BF16, RVN_F16, ElementType.byte]
        where name == ElementType.name(type) {
          record.type = type
        }
        fields |= 1
      } else if field == "shape" {
        try parseShape(&record, &json)
        fields |= 2
      } else if field == "data_offsets" {
        try json.expect("[", "'['")
        record.begin = try json.integer()
        try json.expect(",", "','")
        record.end = try json.integer()
        try json.expect("]", "']'")
        fields |= 4
      } else {
        throw json.damaged("dtype, shape or data_offsets, not '\(field)'")
      }
    } while json.take(",")
    try json.expect("}", "',' or '}'")
    guard fields == 7 else { throw json.damaged("dtype, shape and data_offsets") }
    try insert(key, into: &keys, json)
    try records.append(record)
  }

  private func parseShape(_ record: inout Record, _ json: inout JSONReader) throws(RavineError) {
    try json.expect("[", "'['")
    record.rank = 0
    if json.take("]") { return }
    repeat {
      let n = try json.integer()
      guard record.rank < 8 else { throw json.damaged("at most 8 dimensions") }
      withUnsafeMutableBytes(of: &record.shape) {
        $0.storeBytes(of: n, toByteOffset: 8 * record.rank, as: Int.self)
      }
      record.rank += 1
    } while json.take(",")
    try json.expect("]", "',' or ']'")
  }

  /// Each array has the bytes that its shape needs, and together they are all the data of the
  /// file: no hole, no overlap.
  private func checkOffsets(_ size: UInt64) throws(RavineError) {
    for i in 0..<records.count {
      let r = records[i]
      // A type that this library does not know (0) belongs to an array that it does not take.
      var bytes = r.type == ElementType.byte ? 1 : ElementType.size(r.type) ?? 0, overflow = false
      for k in 0..<r.rank {
        let (product, over) = bytes.multipliedReportingOverflow(by: r.length(k))
        bytes = product
        overflow = overflow || over
      }
      guard !overflow, r.begin <= r.end, r.type == 0 || r.end - r.begin == bytes else {
        throw .format("'\(name(i))' has offsets \(r.begin) to \(r.end), which do not fit its shape")
      }
    }
    var end = 0
    let order = try recordsByOffset()
    for k in 0..<records.count {
      let r = records[order[k]]
      guard UInt64(r.end) <= size else {
        throw .format(
          "'\(name(order[k]))' ends at byte \(r.end), but the file has \(size) bytes of data: it is cut short"
        )
      }
      guard r.begin == end else {
        throw .format(
          "'\(name(order[k]))' begins at byte \(r.begin), not \(end) where the last one ends")
      }
      end = r.end
    }
    guard UInt64(end) == size else {
      throw .format("the file has \(size) bytes of data, but its arrays end at \(end)")
    }
  }

  /// Numbers of the records in the order of their data (a heap sort: files may list them otherwise).
  private func recordsByOffset() throws(RavineError) -> UnsafeMutablePointer<Int> {
    let order = try heap.allocate(Int.self, records.count)
    for i in 0..<records.count { order[i] = i }
    var start = records.count / 2, end = records.count
    while end > 1 {
      if start > 0 {
        start -= 1
      } else {
        end -= 1
        (order[0], order[end]) = (order[end], order[0])
      }
      var root = start
      while 2 * root + 1 < end {
        var child = 2 * root + 1
        if child + 1 < end, lies(order[child], before: order[child + 1]) { child += 1 }
        guard lies(order[root], before: order[child]) else { break }
        (order[root], order[child]) = (order[child], order[root])
        root = child
      }
    }
    return order
  }

  private func lies(_ a: Int, before b: Int) -> Bool {
    (records[a].begin, records[a].end) < (records[b].begin, records[b].end)
  }

  func name(_ i: Int) -> Text { keys.text(i) }

  func value(_ key: Text) -> Text? {
    guard let i = metadata.find(key) else { return nil }
    return Text(Array(values[i]))
  }

  /// The first thing that another file of the same save has otherwise.
  func difference(from other: CheckpointFile) -> Text? {
    for i in 0..<metadata.count {
      let key = metadata.text(i)
      if key == "rank" || key.starts(with: "begin/") { continue }
      if other.value(key) != value(key) { return key }
    }
    return nil
  }

  /// A counter in the metadata.
  func counter(_ key: Text) throws(RavineError) -> UInt64? {
    guard let text = value(key) else { return nil }
    var x: UInt64 = 0
    if text.isEmpty { throw .format("'\(key)' is empty, not a count") }
    for c in text.bytes {
      guard isDigit(c), x < 1 << 58 else { throw .format("'\(key)' is '\(text)', not a count") }
      x = 10 * x + UInt64(c - 48)
    }
    return x
  }
}

extension Record {
  func length(_ k: Int) -> Int {
    withUnsafeBytes(of: shape) { $0.load(fromByteOffset: 8 * k, as: Int.self) }
  }
}
