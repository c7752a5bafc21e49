import CRavine
import CShims
import Kernels

/// Memory for updates of rows, of one tensor at a time. It grows with the largest update.
final class Rows {
  let heap: Heap
  /// How many rows, elements and slots there is room for.
  let count: Int
  let elements: Int
  let slots: Int
  private var table: Table<Tensor>
  let buffers: Buffers
  let work: UnsafeMutablePointer<RowWork>
  /// Row numbers by their hash: 1 + the place among the rows named so far, 0 where there is none.
  private let places: UnsafeMutablePointer<Int>
  /// The last gradient of each row.
  private let last: UnsafeMutablePointer<Int>

  var tensor: UnsafeMutablePointer<Tensor> { table.base.unsafelyUnwrapped }

  private init(
    _ heap: Heap, _ count: Int, _ elements: Int, _ slots: Int, _ table: consuming Table<Tensor>,
    _ buffers: Buffers, _ work: UnsafeMutablePointer<RowWork>,
    _ places: UnsafeMutablePointer<Int>, _ last: UnsafeMutablePointer<Int>
  ) {
    self.heap = heap
    self.count = count
    self.elements = elements
    self.slots = slots
    self.table = table
    self.buffers = buffers
    self.work = work
    self.places = places
    self.last = last
  }

  static func make(
    _ plan: Plan, _ tensor: Tensor, _ options: Options, count: Int, elements: Int, slots: Int
  ) throws(RavineError) -> Rows {
    let heap = Heap(options.allocator)
    var whole = tensor, table = Table<Tensor>(heap)
    whole.count = elements
    whole.fullCount = elements
    whole.firstBlock = 0
    try table.append(whole)
    let buffers = try Buffers.make(plan, table, options)
    guard count <= Int.max / 8 else { throw .memory }
    let work = try heap.allocate(RowWork.self, 1)
    work.initialize(
      to: RowWork(
        length: 0, rows: try heap.allocate(Int.self, count),
        first: try heap.allocate(Int.self, count), next: try heap.allocate(Int.self, count),
        grads: UnsafeRawPointer(work), gradType: RVN_F32, slots: slots,
        memory: try heap.zeros(UInt8.self, buffers.threads * RowWork.size(slots: slots))))
    buffers.work.pointee.rows = UnsafePointer(work)
    return Rows(
      heap, count, elements, slots, table, buffers, work,
      try heap.allocate(Int.self, Rows.capacity(count)), try heap.allocate(Int.self, count))
  }

  /// A power of two at least twice as large.
  private static func capacity(_ count: Int) -> Int {
    var size = 2
    while size < 2 * count { size *= 2 }
    return size
  }

  /// Notes which gradients belong to which row; how many rows there are.
  func index(_ rows: UnsafePointer<Int64>, _ count: Int) -> Int {
    let mask = Rows.capacity(count) - 1
    memset(places, 0, (mask + 1) * 8)
    var found = 0
    for k in 0..<count {
      let row = Int(rows[k])
      var at = Int(truncatingIfNeeded: (UInt64(row) &* 0x9e37_79b9_7f4a_7c15) >> 32) & mask
      while places[at] > 0, work.pointee.rows[places[at] - 1] != row { at = (at + 1) & mask }
      work.pointee.next[k] = -1
      if places[at] == 0 {
        work.pointee.rows[found] = row
        work.pointee.first[found] = k
        last[found] = k
        found += 1
        places[at] = found
      } else {
        work.pointee.next[last[places[at] - 1]] = k
        last[places[at] - 1] = k
      }
    }
    return found
  }
}

extension Optimizer {
  /// One update of some rows of a tensor: slices along its first axis, each with its gradient.
  public func stepRows(
    _ index: Int, _ rows: UnsafePointer<Int64>?, _ count: Int, _ grads: UnsafeRawPointer?,
    reporting: Bool = true
  ) throws(RavineError) -> StepReport {
    try checkPoison()
    let tensor = try self.tensor(index)
    let length = try check(tensor, rows, count, grads)
    return try preparing { () throws(RavineError) in
      guard let plan else { throw .memory }
      try checkParts(plan)
      try checkAlone(plan)
      try checkRows(plan, tensors[index])
      guard let buffers else { throw .memory }
      let frozen = plan.groupWork[tensors[index].group].rule < 0
      guard count > 0, length > 0, !frozen, let rows, let grads else {
        return try apply(plan, buffers, active: false, reporting)
      }
      return try stepRows(index, rows, count, grads, length, plan, reporting)
    }
  }

  private func stepRows(
    _ index: Int, _ rows: UnsafePointer<Int64>, _ count: Int, _ grads: UnsafeRawPointer,
    _ length: Int, _ plan: Plan, _ reporting: Bool
  ) throws(RavineError) -> StepReport {
    try checkPart(tensors[index])
    let room = try room(plan, tensors[index], count, length)
    let found = room.index(rows, count), own = room.tensor
    room.work.pointee.length = length
    room.work.pointee.used = plan.groups[tensors[index].group].slots.count
    room.work.pointee.grads = grads
    room.work.pointee.gradType = tensors[index].givenType
    own.pointee = tensors[index]
    own.pointee.count = found * length
    own.pointee.fullCount = own.pointee.count
    own.pointee.firstBlock = 0
    own.pointee.grad = grads
    own.pointee.sum = nil
    own.pointee.origin = nil
    own.pointee.first = 0
    room.buffers.aim(at: own)
    let report = try apply(plan, room.buffers, active: true, reporting)
    tensors[index].t = own.pointee.t
    tensors[index].part = own.pointee.part
    return report
  }

  /// Memory for so many rows; what is there already if it is enough.
  private func room(_ plan: Plan, _ tensor: Tensor, _ count: Int, _ length: Int)
    throws(RavineError) -> Rows
  {
    let elements = min(count, tensor.count / length) * length
    let slots = plan.groups[tensor.group].slots.count
    if let rows, rows.count >= count, rows.elements >= elements, rows.slots >= slots { return rows }
    // Twice as much, so that counts that vary settle.
    let new = try Rows.make(
      plan, tensor, options, count: max(count, 2 * (rows?.count ?? 0)),
      elements: max(elements, 2 * (rows?.elements ?? 0)), slots: max(slots, rows?.slots ?? 0))
    try checkMemory()
    rows = new
    return new
  }

  /// The elements of a row, if the arguments go together.
  private func check(
    _ tensor: Tensor, _ rows: UnsafePointer<Int64>?, _ count: Int, _ grads: UnsafeRawPointer?
  ) throws(RavineError) -> Int {
    guard tensor.rank > 0 else {
      throw RavineError(RVN_ERR_SHAPE, "'\(tensor.text)' is a single number, and has no rows")
    }
    let rowCount = Int(tensor.shape[0]), length = rowCount == 0 ? 0 : tensor.count / rowCount
    guard count >= 0, count <= Int.max / 64 else {
      throw .argument("count is \(UInt(bitPattern: count)), more than memory can hold")
    }
    if count == 0 { return length }
    guard let rows else { throw .argument("rows is NULL, but count is \(count)") }
    guard grads != nil || length == 0 else {
      throw .argument("grads is NULL, but count is \(count)")
    }
    guard ElementType.aligned(grads, tensor.givenType) else {
      throw .argument("tensor '\(tensor.text)': grads is not aligned to its elements")
    }
    for k in 0..<count where rows[k] < 0 || rows[k] >= rowCount {
      throw .argument("rows[\(k)] is \(rows[k]), but '\(tensor.text)' has \(rowCount) rows, from 0")
    }
    return length
  }

  /// Rows alone must be enough for what the recipe does.
  private func checkRows(_ plan: Plan, _ tensor: Tensor) throws(RavineError) {
    let group = plan.groupWork[tensor.group]
    if group.rule < 0 { return }
    let entry = plan.catalog.rule(group.rule)
    guard group.measures == 0 else {
      throw RavineError(
        RVN_ERR_UNSUPPORTED,
        "\(entry.declaration.name) measures the whole of '\(tensor.text)' at each step, which some of its rows do not tell: give it another rule by a clause, such as adam or adagrad"
      )
    }
    if group.matrix { throw Plan.wholeMatrix(entry.declaration, tensor) }
    let rows = tensor.rank > 0 ? Int(tensor.shape[0]) : 0
    if rows > 0, tensor.count / rows % RAVINE_QUANTIZED != 0 { try checkCodes(plan, tensor) }
    for k in 0..<plan.before where plan.stageWork[k].units >= 0 {
      throw RavineError(
        RVN_ERR_UNSUPPORTED,
        "\(try stageName(k, in: recipe.stages)) measures units of the whole of '\(tensor.text)', which some of its rows do not tell: use it with rvn_optimizer_step"
      )
    }
    for k in 0..<plan.phaseCount where plan.phases[k].kind == .settle {
      throw RavineError(
        RVN_ERR_UNSUPPORTED,
        "\(try stageName(plan.phases[k].stage, in: recipe.stages)) measures the whole update of '\(tensor.text)', which some of its rows do not tell: use it with rvn_optimizer_step"
      )
    }
    for k in plan.before..<plan.stageCount where plan.stageWork[k].slots > 0 && k != plan.storing {
      throw RavineError(
        RVN_ERR_UNSUPPORTED,
        "\(try stageName(k, in: recipe.stages)) follows all parameters at each step, and would lose rows of '\(tensor.text)' that a call does not name: use it with rvn_optimizer_step"
      )
    }
  }

  /// Codes of 8 bits are gathered with their scales.
  private func checkCodes(_ plan: Plan, _ tensor: Tensor) throws(RavineError) {
    for (k, slot) in plan.groups[tensor.group].slots.enumerated()
    where SlotType.quantized(tensor.types?[k] ?? SlotType.none) {
      throw RavineError(
        RVN_ERR_UNSUPPORTED,
        "'\(slot.name)' of '\(tensor.text)' has one scale for \(RAVINE_QUANTIZED) elements, which its rows share; give it moments=bf16 by a clause"
      )
    }
  }
}
