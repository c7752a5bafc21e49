/// Finds things by name: an open hash table. Names are borrowed until removed; their numbers are 0, 1, 2... in the
/// order of insertion.
struct NameIndex: ~Copyable {
  private struct Span: BitwiseCopyable {
    let start: UnsafePointer<UInt8>
    let count: Int
  }

  private let heap: Heap
  private var names: Table<Span>
  private var slots: UnsafeMutablePointer<Int>?
  private var capacity = 0

  init(_ heap: Heap) {
    self.heap = heap
    names = Table(heap)
  }

  deinit { heap.free(slots) }

  func find(_ name: UnsafeBufferPointer<UInt8>) -> Int? {
    guard let slots else { return nil }
    var at = start(name)
    while slots[at] >= 0 {
      if equal(names[slots[at]], name) { return slots[at] }
      at = (at + 1) & (capacity - 1)
    }
    return nil
  }

  var count: Int { names.count }
  func text(_ index: Int) -> Text { Text(names[index].start, count: names[index].count) }

  func find(_ name: Text) -> Int? { name.bytes.withUnsafeBufferPointer { find($0) } }

  /// Makes room for one more, so that the next insertion cannot fail.
  mutating func reserve() throws(RavineError) {
    try names.reserve(names.count + 1)
    guard 2 * (names.count + 1) > capacity else { return }
    let size = max(64, 2 * capacity)
    let memory = try heap.allocate(Int.self, size)
    memory.initialize(repeating: -1, count: size)
    heap.free(slots)
    slots = memory
    capacity = size
    for i in 0..<names.count where names[i].count >= 0 { place(i) }
  }

  mutating func insert(_ start: UnsafePointer<UInt8>, _ count: Int) throws(RavineError) {
    try reserve()
    try names.append(Span(start: start, count: count))
    place(names.count - 1)
  }

  /// Frees a name; its number is not given out again.
  mutating func remove(_ index: Int) {
    names[index] = Span(start: names[index].start, count: -1)
  }

  private func place(_ index: Int) {
    guard let slots else { return }
    let name = UnsafeBufferPointer(start: names[index].start, count: names[index].count)
    var at = start(name)
    while slots[at] >= 0 { at = (at + 1) & (capacity - 1) }
    slots[at] = index
  }

  private func equal(_ a: Span, _ b: UnsafeBufferPointer<UInt8>) -> Bool {
    guard a.count == b.count else { return false }
    for i in 0..<b.count where a.start[i] != b[i] { return false }
    return true
  }

  /// FNV-1a.
  static func hash(_ name: UnsafeBufferPointer<UInt8>) -> UInt64 {
    var h: UInt64 = 0xcbf2_9ce4_8422_2325
    for c in name { h = (h ^ UInt64(c)) &* 0x100_0000_01b3 }
    return h
  }

  private func start(_ name: UnsafeBufferPointer<UInt8>) -> Int {
    Int(truncatingIfNeeded: NameIndex.hash(name) >> 1) & (capacity - 1)
  }
}
