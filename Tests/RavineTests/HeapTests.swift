import CRavine
import CShims
import Testing

@testable import Ravine

/// Memory from the host's allocator: Heap, and the tables, names and documents in it.
struct HeapTests {
  @Test func memoryIsAlignedAndGoesBackWithItsSize() throws {
    let meter = Meter()
    do {
      let heap = Heap(meter.allocator)
      for size in [0, 1, 63, 64, 65, 1000, 1 << 20] {
        let memory = try heap.allocate(size)
        #expect(UInt(bitPattern: memory) % 64 == 0)
        memset(memory, 0xff, size)
      }
      #expect(meter.live == 7)
    }
    #expect(meter.live == 0 && meter.wrong == 0)
  }

  @Test func zerosAreZeros() throws {
    let meter = Meter()  // whose memory is filled with something else
    let heap = Heap(meter.allocator)
    let memory = try heap.zeros(UInt64.self, 1000)
    #expect((0..<1000).allSatisfy { memory[$0] == 0 })
  }

  @Test func memoryIsFreedInAnyOrder() throws {
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 2, 0, 3], [2, 0, 3, 1]]
    for order in orders {
      for kept in 0...4 {
        let meter = Meter()
        do {
          let heap = Heap(meter.allocator)
          let blocks = try (0..<4).map { try heap.allocate(100 + $0) }
          for i in order.prefix(kept) { heap.free(blocks[i]) }
          #expect(meter.live == 4 - kept)
          _ = try heap.allocate(1)
        }
        #expect(meter.live == 0 && meter.wrong == 0, "\(order) \(kept)")
      }
    }
    Heap(ravine_allocator()).free(nil)
  }

  @Test func releaseFreesWhatCameAfterTheMark() throws {
    let meter = Meter()
    let heap = Heap(meter.allocator)
    #expect(heap.mark() == nil)
    let first = try heap.allocate(10), second = try heap.allocate(20)
    let mark = heap.mark()
    heap.release(to: mark)
    #expect(meter.live == 2)
    let third = try heap.allocate(30)
    _ = try heap.allocate(40)
    heap.free(third)
    heap.free(first)  // from before the mark, which still holds
    heap.release(to: mark)
    #expect(meter.live == 1)
    heap.free(second)
    _ = try heap.allocate(50)
    heap.release(to: nil)
    #expect(meter.live == 0 && meter.wrong == 0)
  }

  @Test func sizesThatNoMemoryHasAreRefused() {
    let heap = Heap(ravine_allocator())
    for size in [-1, Int.min, Int.max, Int.max - 63, 1 << 62] {
      #expect(failure { _ = try heap.allocate(size) }?.status == RVN_ERR_MEMORY, "\(size)")
    }
    for count in [-1, Int.min, Int.max, Int.max / 8 + 1] {
      #expect(failure { _ = try heap.allocate(Int.self, count) }?.status == RVN_ERR_MEMORY)
      #expect(failure { _ = try heap.zeros(Int.self, count) }?.status == RVN_ERR_MEMORY)
    }
  }

  // MARK: tables

  @Test func tablesGrowAndKeepTheirElements() throws {
    let meter = Meter()
    do {
      var table = Table<Int>(Heap(meter.allocator))
      #expect(table.count == 0 && table.base == nil)
      for i in 0..<10_000 { try table.append(i * i) }
      #expect(table.count == 10_000 && (0..<10_000).allSatisfy { table[$0] == $0 * $0 })
      table[5] = 7
      #expect(table[5] == 7)
      #expect(meter.live == 1 && meter.calls < 20, "doubling copies rarely")
      let more = [Int](0..<100_000)
      try more.withUnsafeBufferPointer { try table.append(from: $0.baseAddress!, count: 100_000) }
      #expect(table.count == 110_000 && table[10_000] == 0 && table[109_999] == 99_999)
      table.removeAll()
      let calls = meter.calls
      try table.append(1)
      #expect(table.count == 1 && table[0] == 1 && meter.calls == calls)
    }
    #expect(meter.live == 0 && meter.wrong == 0)
  }

  @Test func aTableThatCannotGrowIsAsBefore() throws {
    let meter = Meter()
    var table = Table<Int>(Heap(meter.allocator))
    for i in 0..<16 { try table.append(i) }
    meter.budget = 0
    do {
      try table.append(16)
      Issue.record("no error")
    } catch { #expect(error.status == RVN_ERR_MEMORY) }
    #expect(table.count == 16 && (0..<16).allSatisfy { table[$0] == $0 })
    meter.budget = 1
    try table.append(16)
    #expect(table[16] == 16)
  }

  @Test func whatWasReservedIsThere() throws {
    let meter = Meter()
    var table = Table<UInt8>(Heap(meter.allocator))
    try table.reserve(1000)
    meter.budget = 0
    for _ in 0..<1000 { try table.append(1) }
    #expect(table.count == 1000)
  }

  // MARK: names

  @Test func namesAreFoundByTheirNumber() throws {
    let meter = Meter()
    do {
      let heap = Heap(meter.allocator)
      var index = NameIndex(heap)
      #expect(index.find("w0") == nil)
      for i in 0..<5000 {
        let name = Array("w\(i)".utf8), memory = try heap.allocate(UInt8.self, name.count)
        memory.update(from: name, count: name.count)
        try index.insert(memory, name.count)
      }
      for i in 0..<5000 {
        #expect(index.find(Text(Array("w\(i)".utf8))) == i)
        #expect(index.text(i).string == "w\(i)")
      }
      for other in ["", "w", "w5000", "W1", "w1 ", "w01"] {
        #expect(index.find(Text(Array(other.utf8))) == nil, "\(other)")
      }
    }
    #expect(meter.live == 0 && meter.wrong == 0)
  }

  @Test func anIndexThatCannotGrowIsAsBefore() throws {
    let meter = Meter()
    let names = (0..<200).map { Array("n\($0)".utf8) }
    let heap = Heap(meter.allocator)
    var index = NameIndex(heap)
    var inserted = 0
    for name in names {
      let memory = try heap.allocate(UInt8.self, name.count)
      memory.update(from: name, count: name.count)
      meter.budget = 0
      do { try index.insert(memory, name.count) } catch {
        #expect(error.status == RVN_ERR_MEMORY)
        #expect(index.find(Text(name)) == nil)
        for k in 0..<inserted { #expect(index.find(Text(names[k])) == k) }
        meter.budget = .max
        try index.insert(memory, name.count)
      }
      meter.budget = .max
      inserted += 1
    }
    for (k, name) in names.enumerated() { #expect(index.find(Text(name)) == k) }
  }

  // MARK: documents

  @Test func documentsGrowAndAreAsBeforeWhenTheyCannot() throws {
    let meter = Meter()
    let document = Document(meter.allocator)
    #expect(document.count == 0)
    try document.append(Text())
    for i in 0..<1000 { try document.append("\(i),") }
    #expect(document.string.hasPrefix("0,1,2,") && document.string.hasSuffix(",999,"))
    let count = document.count
    meter.budget = 0
    let long = Text([UInt8](repeating: 120, count: 1 << 20))
    #expect(failure { try document.append(long) }?.status == RVN_ERR_MEMORY)
    #expect(document.count == count && document.string.hasSuffix(",999,"))
  }
}

extension Stepping {
  /// Running out of memory at any moment is a status, after which the same call works.
  struct AllocationTests {
    @Test func everyRefusedAllocationIsAStatusAndLeavesTheHandleUsable() throws {
      let reference = try run(refusing: .max).values
      var n = 0
      while true {
        let (refused, values) = try run(refusing: n)
        #expect(values == reference, "allocation \(n)")
        if !refused { break }
        n += 1
      }
      #expect(n > 15, "each of the allocations was refused once")
    }

    /// Goes through a handle's life with the nth allocation refused; the call that fails is made
    /// again. Returns whether one was refused, and what the parameters are at the end.
    private func run(refusing n: Int) throws -> (refused: Bool, values: [Double]) {
      let meter = Meter()
      var refused = false, values: [Double] = []
      func attempt(_ body: () throws -> Void) throws {
        guard let error = failure(body) else { return }
        #expect(error.status == RVN_ERR_MEMORY, "\(error.message.string)")
        refused = true
        meter.budget = .max
        try body()
      }
      do {
        let model = try Model("clip_norm(1) | lamb; b: frozen; c*: adam(amsgrad=1)", meter.options)
        meter.budget = n
        for name in ["a", "b", "c", "c2"] { try attempt { try model.add(name, [40, 40]) } }
        try attempt { _ = try model.optimizer.describe() }
        try attempt { try model.optimizer.prepare() }
        try attempt { _ = try model.optimizer.step() }
        try attempt { try model.optimizer.set(Array("c*:beta1".utf8), 0.5) }
        try attempt { _ = try model.optimizer.step() }
        values = (0..<4).flatMap { model.values($0) }
      }
      #expect(meter.live == 0 && meter.wrong == 0, "allocation \(n)")
      return (refused, values)
    }
  }
}
