import CShims
import Kernels

/// Tasks, sums and scratch: what the plan needs of memory, and does not depend on values.
final class Buffers {
  let heap: Heap
  let threads: Int
  let blocks: Int
  let columns: Int
  let work: UnsafeMutablePointer<Work>
  /// For rules that step whole matrices.
  var matrices: Matrices?
  /// All tensors, the tasks of all of them, and room for the tasks of one.
  private let tensors: UnsafeMutablePointer<Tensor>, count: Int
  private let tasks, own: UnsafeMutablePointer<TaskWork>, taskCount, taskSize: Int

  /// Blocks of a task: about what a worker does in 50 microseconds.
  static let taskBlocks = 64

  private init(
    _ heap: Heap, _ threads: Int, _ columns: Int, _ taskSize: Int,
    _ own: UnsafeMutablePointer<TaskWork>, _ work: UnsafeMutablePointer<Work>
  ) {
    self.heap = heap
    self.threads = threads
    blocks = work.pointee.blocks
    self.columns = columns
    self.work = work
    (tensors, count) = (work.pointee.tensors, work.pointee.tensorCount)
    (tasks, taskCount) = (work.pointee.tasks, work.pointee.taskCount)
    self.own = own
    self.taskSize = taskSize
  }

  static func make(_ plan: Plan, _ tensors: borrowing Table<Tensor>, _ options: Options)
    throws(RavineError) -> Buffers
  {
    let heap = Heap(options.allocator)
    var total = 0, elements = 0, blocks = 0
    for i in 0..<tensors.count {
      total += tensors[i].blocks
      elements += tensors[i].count
      blocks += tensors[i].sums.count
    }
    let threads = min(options.threads(for: elements), max(1, total))
    let size = threads == 1 ? total : taskBlocks
    let tasks =
      plan.byColumns
      ? try chunks(tensors, heap) : try self.tasks(tensors, total, size, heap)
    // One behind the other: what a phase measures is one array.
    let chain = max(1, plan.columns) * blocks, rules = Int(RAVINE_MAX_MEASURES) * blocks
    let sums = try heap.zeros(Double.self, chain + rules + 2 * blocks)
    let scratch = plan.settles || plan.packs ? Scratch.settlingSize : Scratch.size
    let work = try heap.allocate(Work.self, 1)
    work.initialize(
      to: Work(
        kernels: try Catalog.shared().kernels, tensors: tensors.base.unsafelyUnwrapped,
        tensorCount: tensors.count,
        groups: plan.groupWork, stages: plan.stageWork, tasks: tasks.start,
        taskCount: tasks.count, stageCount: 0, before: 0, prepared: 0,
        scaleRow: try Catalog.shared().stages.count,
        blocks: blocks, chainSums: sums, units: try units(plan, tensors, heap),
        factors: try factors(plan, tensors, heap), ruleSums: sums + chain,
        reportSums: sums + chain + rules,
        scratch: try heap.zeros(UInt8.self, threads * scratch), scratchSize: scratch,
        phase: plan.phases[0],
        reporting: false, transforming: false, failure: try heap.zeros(HostFailure.self, 1),
        rows: nil, matrix: nil, next: 0, finished: 0))
    let own = try heap.allocate(TaskWork.self, tasks.count)
    return Buffers(heap, threads, plan.columns, size, own, work)
  }

  /// Makes the next passes go over one tensor of them, or over all.
  func aim(at tensor: UnsafeMutablePointer<Tensor>? = nil) {
    work.pointee.tensors = tensor ?? tensors
    work.pointee.tensorCount = tensor == nil ? count : 1
    work.pointee.tasks = tensor == nil ? tasks : own
    work.pointee.taskCount = taskCount
    guard let tensor else { return }
    var first = 0, n = 0
    while first < tensor.pointee.blocks {
      own[n] = TaskWork(
        tensor: 0, first: first, blocks: min(taskSize, tensor.pointee.blocks - first))
      first += taskSize
      n += 1
    }
    work.pointee.taskCount = n
  }

  /// What the stages that change gradients by unit need.
  private static func units(
    _ plan: Plan, _ tensors: borrowing Table<Tensor>, _ heap: Heap
  ) throws(RavineError) -> UnsafeMutablePointer<UnitWork> {
    let all = try heap.allocate(UnitWork.self, plan.unitStages * tensors.count)
    for k in 0..<plan.stageCount {
      guard plan.stageWork[k].units >= 0, let units = plan.facts(k).units else { continue }
      for i in 0..<tensors.count {
        all[plan.stageWork[k].units * tensors.count + i] =
          plan.groupWork[plan.groupOf[i]].rule < 0
          ? UnitWork() : try UnitWork.make(units, tensors[i], heap)
      }
    }
    return all
  }

  /// What moments by row and by column need.
  private static func factors(
    _ plan: Plan, _ tensors: borrowing Table<Tensor>, _ heap: Heap
  ) throws(RavineError) -> UnsafeMutablePointer<FactorWork> {
    let all = try heap.allocate(FactorWork.self, plan.factored ? tensors.count : 0)
    for i in 0..<tensors.count where plan.factored {
      let group = plan.groupWork[plan.groupOf[i]]
      all[i] =
        group.factored
        ? try FactorWork.make(tensors[i], slot: group.lanes, heap) : FactorWork()
    }
    return all
  }

  /// Cuts each tensor into the runs whose columns are added up.
  private static func chunks(
    _ tensors: borrowing Table<Tensor>, _ heap: Heap
  ) throws(RavineError) -> (start: UnsafeMutablePointer<TaskWork>, count: Int) {
    var count = 0
    for i in 0..<tensors.count { count += UnitWork.chunks(tensors[i]) }
    let tasks = try heap.allocate(TaskWork.self, count)
    var t = 0
    for i in 0..<tensors.count {
      let chunk = UnitWork.chunk(tensors[i])
      var first = 0
      while first < tensors[i].blocks {
        let blocks = min(chunk, tensors[i].blocks - first)
        tasks[t] = TaskWork(tensor: i, first: first, blocks: blocks)
        first += blocks
        t += 1
      }
    }
    return (tasks, count)
  }

  /// Cuts all blocks into runs of `size`.
  private static func tasks(
    _ tensors: borrowing Table<Tensor>, _ total: Int, _ size: Int, _ heap: Heap
  ) throws(RavineError) -> (start: UnsafeMutablePointer<TaskWork>, count: Int) {
    let count = size == 0 ? 0 : (total + size - 1) / size
    let tasks = try heap.allocate(TaskWork.self, count)
    var tensor = 0, first = 0
    for t in 0..<count {
      while first >= tensors[tensor].blocks {
        first -= tensors[tensor].blocks
        tensor += 1
      }
      tasks[t] = TaskWork(tensor: tensor, first: first, blocks: min(size, total - t * size))
      first += size
    }
    return (tasks, count)
  }
}
