import CShims

/// Of a tensor its steps, the gradients that wait for one, and the estimates of its curvature.
private struct TensorCounts: BitwiseCopyable {
  let steps, accumulated, curved: UInt64

  init(_ tensor: Tensor) {
    (steps, accumulated, curved) = (tensor.t, tensor.accumulated, tensor.curved)
  }
}

/// All that a checkpoint holds, in memory, and the recipe and its plan: to go back to.
final class Snapshot {
  fileprivate let heap: Heap
  fileprivate let items: Items
  /// The bytes of all arrays, one behind the other.
  fileprivate let bytes: UnsafeMutableRawPointer
  fileprivate let counts: UnsafeMutablePointer<TensorCounts>
  let step: UInt64
  fileprivate let accumulated: UInt64
  fileprivate let skips: Double
  fileprivate let perturbed: Bool
  let recipe: Recipe
  fileprivate let plan: Plan
  let reactions: [Reaction]
  fileprivate let states: [UnsafeMutablePointer<Double>?]

  fileprivate init(
    _ optimizer: Optimizer, _ heap: Heap, _ items: Items, _ bytes: UnsafeMutableRawPointer,
    _ counts: UnsafeMutablePointer<TensorCounts>, _ plan: Plan,
    _ states: [UnsafeMutablePointer<Double>?]
  ) {
    self.heap = heap
    self.items = items
    self.bytes = bytes
    self.counts = counts
    self.plan = plan
    self.states = states
    step = optimizer.step
    accumulated = optimizer.accumulated
    skips = optimizer.skips
    perturbed = optimizer.perturbed
    recipe = optimizer.recipe
    reactions = optimizer.reactions
  }
}

extension Optimizer {
  /// Of a prepared optimizer.
  func snapshot() throws(RavineError) -> Snapshot {
    let plan = try prepared(), heap = Heap(options.allocator)
    let items = try self.items(heap)
    var size = 0
    for i in 0..<items.table.count {
      let (sum, overflow) = size.addingReportingOverflow(items.table[i].bytes)
      guard !overflow else { throw .memory }
      size = sum
    }
    let bytes = try heap.allocate(size)
    var at = bytes
    for i in 0..<items.table.count {
      if let memory = items.table[i].memory { memcpy(at, memory, items.table[i].bytes) }
      at += items.table[i].bytes
    }
    let counts = try heap.allocate(TensorCounts.self, tensors.count)
    for i in 0..<tensors.count { counts[i] = TensorCounts(tensors[i]) }
    var states: [UnsafeMutablePointer<Double>?] = []
    for reaction in reactions { states.append(try reaction.copy(heap)) }
    try checkMemory()
    return Snapshot(self, heap, items, bytes, counts, plan, states)
  }

  /// Goes back. It cannot fail, and allocates nothing. Parameters go to the arrays that are bound now.
  func restore(_ snapshot: Snapshot) {
    var at = snapshot.bytes
    for i in 0..<snapshot.items.table.count {
      let item = snapshot.items.table[i]
      let target = item.slot < 0 ? tensors[item.tensor].data : item.memory
      if let target { memcpy(target, at, item.bytes) }
      at += item.bytes
    }
    for i in 0..<tensors.count {
      let counts = snapshot.counts[i]
      (tensors[i].t, tensors[i].accumulated) = (counts.steps, counts.accumulated)
      tensors[i].curved = counts.curved
    }
    accumulated = snapshot.accumulated
    step = snapshot.step
    skips = snapshot.skips
    perturbed = snapshot.perturbed
    poisoned = false
    open = nil
    adopt(snapshot.plan, snapshot.recipe, snapshot.reactions)
    adopt(snapshot.states)
  }
}
