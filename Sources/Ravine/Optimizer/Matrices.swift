import CRavine
import CShims
import Kernels

/// Memory for rules that step whole matrices, one matrix after another: as much as the largest needs.
struct Matrices {
  let memory: UnsafeMutableRawPointer
  let tasks: UnsafeMutablePointer<TaskWork>
  /// Threads that there is memory for, whatever is set later.
  let threads: Int

  /// Bytes of workspace, 0 if no tensor has such a rule; and threads.
  static func size(_ plan: Plan, _ tensors: borrowing Table<Tensor>, _ options: Options)
    throws(RavineError) -> (bytes: Int, threads: Int)
  {
    var bytes = 0, threads = 1
    for i in 0..<tensors.count where plan.isMatrix(i, tensors[i]) {
      guard tensors[i].count <= largest else { throw .memory }
      threads = max(threads, options.threads(for: work(tensors[i])))
    }
    for i in 0..<tensors.count where plan.isMatrix(i, tensors[i]) {
      let facts = plan.facts(ofMatrix: plan.groupOf[i])
      // A clause may turn the matrix later.
      for last in [false, true] where tensors[i].rank > 2 || last == facts.lastAxis {
        let work = newtonSchulz(tensors[i], facts, last, threads, plan.catalog.kernels)
        bytes = max(bytes, work.workspace)
      }
    }
    return (bytes, threads)
  }

  /// Elements of a matrix whose workspace is a size that does not overflow.
  private static let largest = 1 << 44

  static func make(
    _ plan: Plan, _ tensors: borrowing Table<Tensor>, _ options: Options, _ heap: Heap
  ) throws(RavineError) -> Matrices? {
    let (size, threads) = try size(plan, tensors, options)
    guard size > 0 else { return nil }
    var blocks = 0
    for i in 0..<tensors.count { blocks = max(blocks, tensors[i].blocks) }
    return Matrices(
      memory: UnsafeMutableRawPointer(try heap.zeros(UInt8.self, size)),
      tasks: try heap.allocate(TaskWork.self, blocks / Buffers.taskBlocks + 1), threads: threads)
  }

  /// Cuts one tensor into runs of blocks; how many.
  func aim(at index: Int, _ tensor: Tensor) -> Int {
    var first = 0, n = 0
    while first < tensor.blocks {
      let blocks = min(Buffers.taskBlocks, tensor.blocks - first)
      tasks[n] = TaskWork(tensor: index, first: first, blocks: blocks)
      first += blocks
      n += 1
    }
    return n
  }

  /// What is to be made of the direction of a tensor.
  static func newtonSchulz(
    _ tensor: Tensor, _ facts: MatrixFacts, _ lastAxis: Bool, _ threads: Int,
    _ kernels: ravine_kernels
  ) -> NewtonSchulz {
    let (rows, columns) = tensor.matrix(lastAxis: lastAxis)
    return NewtonSchulz(
      facts.orthogonalization, rows: rows, columns: columns, wide: tensor.wide, threads: threads,
      kernels)
  }

  /// A product of a matrix, measured in elements of an elementwise step that take as long.
  static func work(_ tensor: Tensor) -> Int {
    let (rows, columns) = tensor.matrix(lastAxis: false)
    return tensor.count / 4 * min(rows, columns, 1024)
  }
}

extension Tensor {
  /// Rows and columns of a tensor that is seen as a matrix.
  func matrix(lastAxis: Bool) -> (rows: Int, columns: Int) {
    let axis = Int(shape[lastAxis ? rank - 1 : 0]), others = axis == 0 ? 0 : count / axis
    return lastAxis ? (others, axis) : (axis, others)
  }
}

extension Plan {
  /// Whether a tensor is stepped as a matrix.
  func isMatrix(_ i: Int, _ tensor: Tensor) -> Bool {
    !tensor.removed && groupWork[groupOf[i]].matrix && tensor.count > 0
  }

  func facts(ofMatrix group: Int) -> MatrixFacts {
    let work = groupWork[group]
    return catalog.rules[work.rule].matrix.unsafelyUnwrapped.facts(work.hyper)
  }

  /// Puts the shape of a matrix into scalars that were written.
  func shape(_ tensor: Tensor, _ constants: UnsafeMutableRawPointer) {
    let (rows, columns) = tensor.matrix(lastAxis: facts(ofMatrix: tensor.group).lastAxis)
    var sides = (Double(rows), Double(columns))
    withUnsafeBytes(of: &sides) {
      catalog.rules[groupWork[tensor.group].rule][tensor.wide].settle(
        constants, $0.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Double.self))
    }
  }

  /// Every tensor must have the rank that its rule wants.
  func checkRanks(_ tensors: borrowing Table<Tensor>) throws(RavineError) {
    for i in 0..<tensors.count where !tensors[i].removed {
      let rule = groupWork[groupOf[i]].rule
      if rule < 0 { continue }
      let d = catalog.rule(rule).declaration
      if tensors[i].rank < d.leastRank { throw Plan.tooFlat(d, tensors[i]) }
    }
  }

  private static func tooFlat(_ d: Declaration, _ tensor: Tensor) -> RavineError {
    let shape = shapeText(tensor.shape, tensor.rank)
    return RavineError(
      RVN_ERR_SHAPE,
      "\(d.name) steps tensors of rank \(d.leastRank) or more, but '\(tensor.text)' is \(shape): give such tensors another rule by a clause, as in \(d.name); @rank<\(d.leastRank): adamw(1e-3)"
    )
  }
}

extension Plan {
  static func wholeMatrix(_ d: Declaration, _ tensor: Tensor) -> RavineError {
    RavineError(
      RVN_ERR_UNSUPPORTED,
      "\(d.name) steps '\(tensor.text)' as a whole matrix, of which some rows are another one: give it another rule by a clause, such as adam or adagrad"
    )
  }
}

extension Buffers {
  /// Whether the pass under way steps tensor i: those that are no matrices, or one that is.
  func steps(_ i: Int, asMatrix matrix: Bool) -> Bool {
    work.pointee.matrix == nil ? !matrix : work.pointee.tasks[0].tensor == i
  }
}

extension Optimizer {
  /// The phase of the dry run.
  func describeMatrices(_ plan: Plan) throws(RavineError) -> Text {
    var out: Text =
      "matrices, one after another: direction, then products, in \(try Matrices.size(plan, tensors, options).bytes) bytes of workspace"
    if options.product != nil {
      out.append("; the host's product, with which bytes may differ from machine to machine")
    }
    return out
  }

  /// Steps matrix after matrix: makes the direction, the products, and what comes behind them.
  func stepMatrices(_ direct: Phase, _ behind: Range<Int>, _ plan: Plan, _ buffers: Buffers)
    throws(RavineError)
  {
    guard let matrices = buffers.matrices else { return }
    let work = buffers.work
    let (tasks, taskCount) = (work.pointee.tasks, work.pointee.taskCount)
    defer {
      (work.pointee.tasks, work.pointee.taskCount) = (tasks, taskCount)
      work.pointee.matrix = nil
    }
    for i in 0..<work.pointee.tensorCount {
      let tensor = work.pointee.tensors[i]
      guard plan.groupWork[tensor.group].matrix, tensor.grad != nil, tensor.count > 0 else {
        continue
      }
      work.pointee.tasks = matrices.tasks
      work.pointee.taskCount = matrices.aim(at: i, tensor)
      work.pointee.matrix = matrices.memory
      try run(direct, buffers)
      work.pointee.matrix = try multiply(tensor, plan, matrices)
      for k in behind {
        let phase = plan.phases[k]
        try run(phase, buffers)
        while phase.kind == .settle, !settle(phase, plan, buffers) { try run(phase, buffers) }
      }
    }
  }

  private func multiply(_ tensor: Tensor, _ plan: Plan, _ matrices: Matrices) throws(RavineError)
    -> UnsafeMutableRawPointer
  {
    let facts = plan.facts(ofMatrix: tensor.group)
    let threads = min(matrices.threads, options.threads(for: Matrices.work(tensor)))
    let work = Matrices.newtonSchulz(
      tensor, facts, facts.lastAxis, threads, plan.catalog.kernels)
    do throws(RavineError) { return try work.run(matrices.memory, options) } catch {
      poisoned = true
      throw error
    }
  }
}

extension Piece {
  /// Whether the tensor is a matrix that is stepped in a pass of its own.
  var isElsewhere: Bool { group.pointee.matrix && work.pointee.matrix == nil }

  /// What was made of the directions of a block.
  func product(_ block: Int) -> UnsafeMutableRawPointer {
    work.pointee.matrix.unsafelyUnwrapped + block * RAVINE_BLOCK * tensor.pointee.lane
  }

  /// Makes the direction of a block.
  func direct(_ block: Int) {
    let n = min(RAVINE_BLOCK, tensor.pointee.count - block * RAVINE_BLOCK)
    let (g, factor) = gradient(block, upTo: work.pointee.before)
    var call = self.call(
      block, n, 0, group.pointee.lanes, g, product(block), g, factor, reportSums(block))
    call.measuring = 1
    work.pointee.kernels.rule[2 * group.pointee.rule + wide].unsafelyUnwrapped(&call)
  }
}
