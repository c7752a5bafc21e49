import CRavine
import CShims
import Kernels

/// Where the state of the tensors lies: for each tensor and slot the array, nil where there is none,
/// and the piece of memory that holds it; and scalars for each tensor.
private struct StateTables {
  let slots, owners: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  let types: UnsafeMutablePointer<Int32>
  let constants: UnsafeMutableRawPointer
}

/// A piece of memory for state: the number of arrays in it, and behind that the arrays.
private enum StatePiece {
  static let head = 64
  /// Arrays below this size share a piece, so that a step over many small tensors reads on.
  static let shared = 1 << 14

  /// What an array takes: each begins at a multiple of 64.
  static func bytes(_ type: Int32, _ tensor: Tensor) -> Int {
    (SlotType.bytes(type, tensor) + 63) & ~63
  }
}

extension Optimizer {
  /// Makes the plan, state and scratch for the recipe and the tensors as they are now.
  public func prepare() throws(RavineError) {
    guard plan == nil || stale else { return }
    // A clause may be left without a tensor only by a removal.
    try take(recipe, checked: plan == nil ? 0 : recipe.clauses.count, reactions)
  }

  /// Does what needs a prepared optimizer; if that fails, one that was not prepared is not.
  func preparing<Result>(_ body: () throws(RavineError) -> Result) throws(RavineError) -> Result {
    let fresh = plan == nil, mark = heap.mark()
    do throws(RavineError) {
      try prepare()
      return try body()
    } catch {
      if fresh {
        forgetPlan()
        scalars = nil
        heap.release(to: mark)
      }
      throw error
    }
  }

  private func forgetPlan() {
    plan = nil
    buffers = nil
    rows = nil
    stale = false
    for i in 0..<tensors.count {
      tensors[i].planned = false
      tensors[i].slots = nil
      tensors[i].owners = nil
    }
  }

  /// The plan that holds, or would hold after prepare.
  func currentPlan() throws(RavineError) -> Plan {
    if let plan, !stale { return plan }
    return try makePlan(recipe, checked: plan == nil ? 0 : recipe.clauses.count)
  }

  /// What a range test is to put back must not be replaced.
  func checkFixed() throws(RavineError) {
    guard tests == 0 else {
      throw .state("a range test is running: tensors, rules and the size of state stay as they are")
    }
  }

  /// Takes a recipe, whose first `checked` clauses need not match a tensor. State that fits it stays,
  /// other state begins anew; if memory for it fails, nothing has changed.
  func take(_ next: Recipe, checked: Int, _ reactions: [Reaction]) throws(RavineError) {
    let new = try makePlan(next, checked: checked)
    if let plan, !stale, try keepsAll(plan, new) {
      try checkMemory()
      adopt(new, next, reactions)
    } else {
      try checkFixed()
      try checkUnmoved()
      try rebuild(new, next)
      recipe = next
      self.reactions = reactions
    }
  }

  private func keepsAll(_ plan: Plan, _ new: Plan) throws(RavineError) -> Bool {
    guard plan.columns == new.columns, plan.settles == new.settles else { return false }
    for i in 0..<tensors.count where !tensors[i].removed {
      guard try plan.groups[tensors[i].group].fits(new.groups[new.groupOf[i]]) else { return false }
    }
    return true
  }

  private func rebuild(_ new: Plan, _ next: Recipe) throws(RavineError) {
    let mark = heap.mark()
    do throws(RavineError) {
      let buffers = try Buffers.make(new, tensors, options)
      buffers.matrices = try Matrices.make(new, tensors, options, buffers.heap)
      let tables = try makeState(new, buffers.heap)
      let numbers = try Scalars.make(next, heap)
      try checkMemory()
      adopt(new, buffers, tables)
      if let old = scalars {
        numbers.keep(old)
        heap.free(old.values)
      }
      scalars = numbers
    } catch {
      heap.release(to: mark)
      throw error
    }
  }

  /// Whether a tensor goes on with the rule that it had.
  private func continues(_ i: Int, _ new: Plan) -> Bool {
    guard let plan, tensors[i].planned else { return false }
    let old = plan.groupWork[tensors[i].group].rule
    return old >= 0 && old == new.groupWork[new.groupOf[i]].rule
  }

  /// The arrays that there are stay where they are; new ones are allocated and started.
  private func makeState(_ new: Plan, _ heapOfTables: Heap) throws(RavineError) -> StateTables {
    var count = 0, arrays = 0, size = StatePiece.head
    try eachSlot(new) { (i, _, slot, type, kept) throws(RavineError) in
      count += 1
      let bytes = StatePiece.bytes(type, slot.extent(tensors[i]))
      if bytes == 0 || kept != nil || bytes > StatePiece.shared { return }
      arrays += 1
      size += bytes
    }
    let slots = try heapOfTables.zeros(UnsafeMutableRawPointer?.self, count)
    let owners = try heapOfTables.zeros(UnsafeMutableRawPointer?.self, count)
    let types = try heapOfTables.zeros(Int32.self, count)
    let constants = try heapOfTables.allocate(tensors.count * new.constantsSize)
    let pool = arrays > 0 ? try piece(size, arrays) : nil
    var at = 0, used = StatePiece.head
    try eachSlot(new) { (i, k, slot, type, kept) throws(RavineError) in
      defer { at += 1 }
      types[at] = type
      let own = slot.extent(tensors[i]), bytes = StatePiece.bytes(type, own)
      if bytes == 0 { return }
      if let kept {
        slots[at] = kept
        owners[at] = tensors[i].owners.unsafelyUnwrapped[k]
        return
      }
      if bytes > StatePiece.shared {
        owners[at] = try piece(StatePiece.head + bytes, 1)
        slots[at] = owners[at].unsafelyUnwrapped + StatePiece.head
      } else {
        owners[at] = pool
        slots[at] = pool.unsafelyUnwrapped + used
        used += bytes
      }
      try fillState(slots[at].unsafelyUnwrapped, type, own, slot.start)
    }
    return StateTables(slots: slots, owners: owners, types: types, constants: constants)
  }

  /// Each slot of each tensor: how it lies in memory, and the array that the tensor has for it already.
  private func eachSlot(
    _ new: Plan,
    _ body: (Int, Int, GroupSlot, Int32, UnsafeMutableRawPointer?) throws(RavineError) -> Void
  ) throws(RavineError) {
    for i in 0..<tensors.count where !tensors[i].removed {
      let group = new.groups[new.groupOf[i]], goesOn = continues(i, new)
      for (k, slot) in group.slots.enumerated() {
        let type = slot.type(tensors[i])
        let kept = goesOn && type != SlotType.none ? tensors[i].slots.unsafelyUnwrapped[k] : nil
        if kept != nil, let old = plan?.groups[tensors[i].group].slots[k], old.start != slot.start {
          throw Plan.otherStart(try group.resolved.rule.declaration, slot)
        }
        if kept != nil, let old = tensors[i].types?[k], old != type {
          throw Plan.otherType(tensors[i], slot, old)
        }
        try body(i, k, slot, type, kept)
      }
    }
  }

  private func piece(_ size: Int, _ arrays: Int) throws(RavineError) -> UnsafeMutableRawPointer {
    let memory = try heap.allocate(size)
    memory.storeBytes(of: arrays, as: Int.self)
    return memory
  }

  /// Puts all in place, and frees what is no longer needed. Nothing here can fail.
  private func adopt(_ new: Plan, _ buffers: Buffers, _ tables: StateTables) {
    var at = 0, firstBlock = 0
    for i in 0..<tensors.count where !tensors[i].removed {
      let goesOn = continues(i, new), group = new.groups[new.groupOf[i]]
      releaseState(i) { k, array in goesOn && tables.slots[at + k] == array }
      if !goesOn { (tensors[i].accumulated, tensors[i].curved) = (0, 0) }
      if !goesOn, !group.resolved.frozen { tensors[i].t = 0 }
      tensors[i].planned = true
      tensors[i].group = new.groupOf[i]
      tensors[i].slots = tables.slots + at
      tensors[i].owners = tables.owners + at
      tensors[i].types = tables.types + at
      tensors[i].hash = tensors[i].nameHash
      tensors[i].packed = false
      for k in 0..<group.slots.count {
        let type = tables.types[at + k]
        if type != SlotType.none, type != tensors[i].laneType { tensors[i].packed = true }
      }
      tensors[i].ownConstants = tables.constants + i * new.constantsSize
      tensors[i].firstBlock = firstBlock + tensors[i].begin >> RAVINE_BLOCK_BITS
      firstBlock += tensors[i].sums.count
      at += group.slots.count
    }
    plan = new
    self.buffers = buffers
    rows = nil
    stale = false
  }

  /// Frees the arrays of a tensor that are not kept, and their memory where it is the last.
  private func releaseState(_ i: Int, keeping: (Int, UnsafeMutableRawPointer) -> Bool) {
    guard let plan, tensors[i].planned else { return }
    for k in 0..<plan.groups[tensors[i].group].slots.count {
      guard let array = tensors[i].slots.unsafelyUnwrapped[k], !keeping(k, array) else { continue }
      let owner = tensors[i].owners.unsafelyUnwrapped[k].unsafelyUnwrapped
      let left = owner.load(as: Int.self) - 1
      owner.storeBytes(of: left, as: Int.self)
      if left == 0 { heap.free(owner) }
    }
  }

  /// Takes a tensor out. Its index is not given out again; its name is free.
  public func remove(_ index: Int) throws(RavineError) {
    try checkClosed()
    try checkFixed()
    try checkUnmoved()
    let tensor = try self.tensor(index)
    releaseState(index) { _, _ in false }
    names.remove(index)
    heap.free(UnsafeMutableRawPointer(mutating: tensor.shape))
    elements -= tensor.fullCount
    live -= 1
    tensors[index] = Tensor.removed
    stale = plan != nil
    guard live == 0 else { return }
    forgetPlan()
    heap.free(scalars?.values)
    scalars = nil
  }
}
