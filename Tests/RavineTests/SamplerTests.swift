import CRavine
import CShims
import Testing

@testable import Ravine

/// Which items are in which batch.
struct SamplerTests {
  @Test func anEpochHasEveryItemOnce() throws {
    for count in 1...60 {
      for batch in [0, 1, 2, 7, count, count + 5] {
        let sampler = try make(count, batch)
        let size = batch == 0 ? count : min(batch, count)
        for _ in 0..<2 {
          let batches = try epoch(sampler)
          #expect(batches.dropLast().allSatisfy { $0.count == size })
          #expect(batches.count == (count + size - 1) / size)
          #expect(batches.joined().sorted() == Array(0..<Int64(count)), "\(count) \(batch)")
        }
      }
    }
  }

  @Test func theOrderIsOfSeedAndEpochAlone() throws {
    let order = try [Int64](epoch(make(100, 0)).joined())
    for batch in [1, 3, 10, 99] {
      #expect(try [Int64](epoch(make(100, batch)).joined()) == order)
      let dropped = try [Int64](epoch(make(100, batch) { $0.dropLast = true }).joined())
      #expect(dropped == Array(order.prefix(100 / batch * batch)))
    }
    let sampler = try make(100, 0)
    let orders = try (0..<20).map { _ in try epoch(sampler)[0] }
    #expect(orders[0] == order && Set(orders).count == 20)
    let seeds = try (0..<20).map { seed in try epoch(make(100, 0) { $0.seed = UInt64(seed) })[0] }
    #expect(seeds[0] == order && Set(seeds).count == 20)
  }

  /// Written down: no machine and no later version may give another one.
  @Test func theOrderIsTheOneItAlwaysWas() throws {
    #expect(try epoch(make(10, 4)) == known.shuffled)
    #expect(try epoch(make(10, 4) { $0.replacement = true }) == known.drawn)
    let stratified = try withLabels([0, 1, 0, 1, 0, 1, 0, 1, 0, 0]) { labels in
      try epoch(make(10, 4) { $0.labels = labels })
    }
    #expect(stratified == known.stratified)
  }

  @Test func withoutShufflingItemsComeInTheirOrder() throws {
    let sampler = try make(10, 4) { $0.ordered = true }
    for _ in 0..<3 {
      #expect(try epoch(sampler) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]])
    }
  }

  @Test func withReplacementEveryItemIsEquallyLikely() throws {
    let sampler = try make(50, 8) { $0.replacement = true }
    var counts = [Int](repeating: 0, count: 50)
    for _ in 0..<1000 {
      let batches = try epoch(sampler)
      #expect(batches.joined().count == 50)
      for item in batches.joined() { counts[Int(item)] += 1 }
    }
    let chi = counts.reduce(0.0) { $0 + Double(($1 - 1000) * ($1 - 1000)) / 1000 }
    #expect(abs(chi - 49) < 4 * (2.0 * 49).squareRoot())
  }

  // MARK: ranks

  @Test func theRanksOfAStepAreOneLargerBatch() throws {
    for count in [5, 24, 97, 100] {
      for world in [2, 3, 4, 7] {
        for batch in [1, 5, 8] where batch * world <= count {
          let whole = try epoch(make(count, batch * world))
          let ranks = try split(count, batch, world) { _ in }
          #expect(ranks.allSatisfy { $0.map(\.count) == ranks[0].map(\.count) })
          #expect(ranks[0].count == whole.count)
          for step in 0..<(whole.count - 1) {
            #expect(ranks.flatMap { $0[step] }.sorted() == whole[step].sorted())
          }
          let last = ranks.flatMap { $0[whole.count - 1] }
          #expect(Set(last).isSuperset(of: whole.last!))
          #expect(last.count - whole.last!.count < world)
        }
      }
    }
  }

  @Test func whatIsMissingIsTakenFromTheStart() throws {
    let order = try epoch(make(10, 0))[0]
    let ranks = try split(10, 2, 4) { _ in }
    #expect(ranks.map { $0.map(\.count) } == [[2, 1], [2, 1], [2, 1], [2, 1]])
    #expect(ranks.map { $0[1][0] } == [order[8], order[9], order[0], order[1]])
    let few = try split(2, 5, 5) { _ in }, pair = try epoch(make(2, 0))[0]
    #expect(few.map { $0[0] } == [[pair[0]], [pair[1]], [pair[0]], [pair[1]], [pair[0]]])
  }

  @Test func dropLastLeavesRanksDisjoint() throws {
    for (count, batch, world) in [(100, 8, 3), (24, 8, 3), (10, 1, 4), (11, 0, 2)] {
      let ranks = try split(count, batch, world) { $0.dropLast = true }
      let items = ranks.flatMap { $0.joined() }, size = batch == 0 ? count / world : batch
      #expect(items.count == count / (size * world) * size * world)
      #expect(Set(items).count == items.count)
    }
  }

  // MARK: strata

  @Test func everyBatchHasItsShareOfEveryClass() throws {
    let shapes = [
      [50, 50], [90, 10], [97, 2, 1], [1, 1, 1, 1, 1], [33, 33, 34], [5, 60, 0, 22, 13], [7],
      [1, 99], [13, 1, 13, 1, 13, 1, 13, 1, 13, 1],
    ]
    for shape in shapes {
      let labels = spread(shape)
      for batch in [0, 1, 3, 8, 10, 16, labels.count] {
        for (world, drop) in [(1, false), (1, true), (2, false), (3, true)] {
          if drop, labels.count < max(1, batch) * world { continue }
          try withLabels(labels) { pointer in
            try checkShares(labels, shape, batch, world, drop, pointer)
          }
        }
      }
    }
  }

  private func checkShares(
    _ labels: [Int64], _ shape: [Int], _ batch: Int, _ world: Int, _ drop: Bool,
    _ pointer: UnsafePointer<Int64>
  ) throws {
    let n = labels.count
    let ranks = try split(n, batch, world) {
      $0.labels = pointer
      $0.dropLast = drop
    }
    let full = ranks[0][0].count
    for rank in ranks {
      for items in rank where items.count == full || world == 1 {
        // A batch with repeated items has no share to keep.
        if !drop, world > 1, items == rank.last! { continue }
        for (label, members) in shape.enumerated() {
          let found = items.filter { labels[Int($0)] == Int64(label) }.count
          #expect(found >= items.count * members / n, "\(shape) \(batch) \(world)")
          #expect(found <= (items.count * members + n - 1) / n, "\(shape) \(batch) \(world)")
        }
      }
    }
    let all = ranks.flatMap { $0.joined() }
    if drop { #expect(Set(all).count == all.count) } else { #expect(Set(all).count == n) }
    if world == 1, !drop { #expect(all.count == n) }
  }

  @Test func strataAreDrawnAnew() throws {
    let labels = spread([40, 20])
    try withLabels(labels) { pointer in
      let sampler = try make(60, 6) { $0.labels = pointer }
      let first = try (0..<200).map { _ in try epoch(sampler)[0] }
      #expect(Set(first).count == 200)
      var counts = [Int](repeating: 0, count: 60)  // every member is in the first batch as often
      for item in first.joined() { counts[Int(item)] += 1 }
      #expect(counts.allSatisfy { $0 > 4 && $0 < 40 })
      let firsts = first.map { labels[Int($0[0])] }  // classes are mixed within a batch
      #expect(Set(firsts).count == 2)
      let ordered = try make(60, 6) {
        $0.labels = pointer
        $0.ordered = true
      }
      #expect(try epoch(ordered) == epoch(ordered))
    }
  }

  @Test func strataWithReplacementKeepTheirShares() throws {
    let labels = spread([30, 10])
    try withLabels(labels) { pointer in
      let sampler = try make(40, 8) {
        $0.labels = pointer
        $0.replacement = true
      }
      for items in try epoch(sampler) {
        #expect(items.filter { labels[Int($0)] == 1 }.count == 2)
      }
    }
  }

  @Test func labelsMayBeAnyNumbers() throws {
    let labels: [Int64] = [.max, .min, -1, .max, .min, -1, .max, .min]
    let codes: [Int64] = [2, 0, 1, 2, 0, 1, 2, 0]
    let batches = try [labels, codes].map { labels in
      try withLabels(labels) { pointer in try epoch(make(8, 3) { $0.labels = pointer }) }
    }
    #expect(batches[0] == batches[1])
  }

  // MARK: places

  @Test func itGoesOnFromAnyPlace() throws {
    let labels = spread([20, 17])
    try withLabels(labels) { pointer in
      for strata in [nil, pointer] {
        let whole = try make(37, 5) { $0.labels = strata }
        var all: [(UInt64, UInt64, [Int64])] = []
        for _ in 0..<3 {
          for _ in 0...whole.batches { all.append((whole.epoch, whole.position, try next(whole))) }
        }
        let other = try make(37, 5) { $0.labels = strata }
        for (at, (epoch, position, _)) in all.enumerated() {
          try other.seek(epoch: epoch, position: position)
          for (_, _, items) in all[at...] { #expect(try next(other) == items) }
        }
      }
    }
  }

  @Test func anyBatchOfAnyEpochCanBeRead() throws {
    let sampler = try make(37, 5)
    var buffer = [Int64](repeating: 0, count: 5)
    for e in 0..<3 as Range<UInt64> {
      for (position, items) in try epoch(make(37, 5), skipping: e).enumerated() {
        let n = try buffer.withUnsafeMutableBufferPointer {
          try sampler.read(epoch: e, position: UInt64(position), $0)
        }
        #expect(Array(buffer.prefix(n)) == items)
      }
    }
    #expect(sampler.epoch == 0 && sampler.position == 0)
  }

  @Test func theLastEpochEnds() throws {
    let sampler = try make(3, 2)
    try sampler.seek(epoch: Sampler.lastEpoch, position: 0)
    #expect(try next(sampler).count == 2 && next(sampler).count == 1)
    #expect(failure { _ = try next(sampler) }?.status == RVN_ERR_STATE)
    #expect(sampler.epoch == Sampler.lastEpoch && sampler.position == 2)
  }

  @Test func hugeCountsWork() throws {
    for world in [1, 7, UInt64(Int32.max)] {
      let sampler = try make(1 << 62, 3) {
        $0.rank = world - 1
        $0.world = world
      }
      try sampler.seek(epoch: 1, position: sampler.batches - 1)
      let items = try next(sampler)
      #expect(items.count >= 1 && items.allSatisfy { $0 >= 0 && $0 < 1 << 62 })
    }
  }

  // MARK: helpers

  private var known: (shuffled: [[Int64]], drawn: [[Int64]], stratified: [[Int64]]) {
    (
      [[0, 2, 6, 7], [1, 3, 8, 9], [4, 5]], [[1, 5, 2, 4], [6, 2, 5, 0], [9, 7]],
      [[8, 2, 0, 3], [6, 9, 5, 7], [4, 1]]
    )
  }

  private func make(
    _ count: Int, _ batch: Int, _ change: (inout SamplerDescription) -> Void = { _ in }
  ) throws -> Sampler {
    var description = SamplerDescription()
    description.count = UInt64(count)
    description.batch = UInt64(batch)
    change(&description)
    return try Sampler.make(description, ravine_allocator())
  }

  private func next(_ sampler: Sampler) throws -> [Int64] {
    var buffer = [Int64](repeating: -1, count: Int(sampler.largest))
    let n = try buffer.withUnsafeMutableBufferPointer { try sampler.next($0) }
    return Array(buffer.prefix(n))
  }

  private func epoch(_ sampler: Sampler, skipping: UInt64 = 0) throws -> [[Int64]] {
    if skipping > 0 { try sampler.seek(epoch: skipping, position: 0) }
    var batches: [[Int64]] = []
    while true {
      let items = try next(sampler)
      if items.isEmpty { return batches }
      batches.append(items)
    }
  }

  /// The batches of each rank.
  private func split(
    _ count: Int, _ batch: Int, _ world: Int, _ change: (inout SamplerDescription) -> Void
  ) throws -> [[[Int64]]] {
    try (0..<world).map { rank in
      try epoch(
        make(count, batch) {
          change(&$0)
          $0.rank = UInt64(rank)
          $0.world = UInt64(world)
        })
    }
  }

  /// Labels with so many members of each class, spread over the items.
  private func spread(_ shape: [Int]) -> [Int64] {
    let sorted = shape.enumerated().flatMap { [Int64](repeating: Int64($0), count: $1) }
    return (0..<sorted.count).map { sorted[($0 * 31 + 11) % sorted.count] }
  }

  private func withLabels<R>(_ labels: [Int64], _ body: (UnsafePointer<Int64>) throws -> R) rethrows
    -> R
  {
    try labels.withUnsafeBufferPointer { try body($0.baseAddress!) }
  }
}
