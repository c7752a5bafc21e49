import CShims

/// The items by class, and which of them are in which batch: every batch has of every class its
/// share, size * members / count, rounded down or up.
///
/// Items stand in a row, class by class, so that a class is a range of the row. The last, partial
/// batch of r takes every (count / r)-th of them; of those that remain, full batch b of M takes
/// number b, b + M, b + 2M... However a range lies, such evenly spaced items fall into it as often
/// as its length says, rounded down or up, and a rank's items, evenly spaced in the batch, do so
/// again. Which member of a class stands where is drawn anew in each epoch, and so is which of the
/// full batches comes when.
///
/// It costs 4 bytes for each item and at most 8 for each class.
final class Strata {
  private let heap: Heap
  private let count: Int
  /// The row.
  private let items: UnsafeMutablePointer<UInt32>
  /// Where each class begins in it; behind the last, the count.
  private let starts: Table<UInt32>
  /// Items of a full batch over all ranks, and how many there are.
  private let step, full: UInt64

  static func make(
    _ labels: UnsafePointer<Int64>, _ count: Int, step: UInt64, _ allocator: ravine_allocator
  ) throws(RavineError) -> Strata {
    let heap = Heap(allocator)
    let items = try sort(labels, count, heap)
    var starts = Table<UInt32>(heap)
    for i in 0..<count where i == 0 || labels[Int(items[i])] != labels[Int(items[i - 1])] {
      try starts.append(UInt32(i))
    }
    try starts.append(UInt32(count))
    return Strata(heap, items, starts, count, step)
  }

  private init(
    _ heap: Heap, _ items: UnsafeMutablePointer<UInt32>, _ starts: consuming Table<UInt32>,
    _ count: Int, _ step: UInt64
  ) {
    self.heap = heap
    self.items = items
    self.starts = starts
    self.count = count
    self.step = step
    full = UInt64(count) / step
  }

  /// The item at a position of the epoch. Products are below 2^62: there are fewer than 2^31 items.
  func item(at given: UInt64, _ order: Order) -> UInt64 {
    let n = UInt64(count), inFull = full * step, position = given % n
    let place: UInt64
    if position < inFull {
      let batch = order.batch(position / step, of: full)
      place = (position % step * full + batch) * n / inFull
    } else {
      let rest = n - inFull
      place = ((position - inFull + 1) * n - 1) / rest
    }
    let number = find(UInt32(place))
    let start = UInt64(starts[number]), size = UInt64(starts[number + 1]) - start
    let member = order.member(
      place - start, of: size, inClass: UInt64(number), at: given)
    return UInt64(items[Int(start + member)])
  }

  /// The class of a place in the row.
  private func find(_ place: UInt32) -> Int {
    var low = 0, high = starts.count - 1
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= place { low = middle } else { high = middle }
    }
    return low
  }

  /// 0..<count by label, and by number where labels are equal: a merge sort.
  private static func sort(
    _ labels: UnsafePointer<Int64>, _ count: Int, _ heap: Heap
  ) throws(RavineError) -> UnsafeMutablePointer<UInt32> {
    var from = try heap.allocate(UInt32.self, count), to = try heap.allocate(UInt32.self, count)
    for i in 0..<count { from[i] = UInt32(i) }
    var width = 1
    while width < count {
      var start = 0
      while start < count {
        let middle = min(start + width, count), end = min(start + 2 * width, count)
        var left = start, right = middle
        for i in start..<end {
          let first =
            right == end
            || (left < middle && labels[Int(from[left])] <= labels[Int(from[right])])
          to[i] = first ? from[left] : from[right]
          if first { left += 1 } else { right += 1 }
        }
        start = end
      }
      swap(&from, &to)
      width *= 2
    }
    heap.free(to)
    return from
  }
}
