import CRavine
import CShims
import Kernels

public typealias rvn_all_sum =
  @convention(c) (UnsafeMutableRawPointer?, UnsafeMutablePointer<Double>?, Int) -> Int32

// One handle of several, on as many ranks. Each steps a shard of every tensor, a run of blocks, and has
// the state of that alone. Sums travel block by block: each rank fills in those of its own blocks, and
// leaves 0 for the others, so that after adding up the ranks all have the same numbers, which are then
// added in the order of the blocks, as one handle alone would.

extension Tensor {
  /// Whether there is anything in the whole tensor to step.
  var hasGradients: Bool { grad != nil && fullCount > 0 }

  private var fullBlocks: Int { blockCount(fullCount) }

  /// The elements of a rank. All have as many blocks; what is left goes to one rank after the other,
  /// from `turn` on, so that many small tensors are spread, too.
  func shard(_ rank: Int, _ world: Int) -> Range<Int> {
    let (each, left) = fullBlocks.quotientAndRemainder(dividingBy: world)
    func first(_ rank: Int) -> Int {
      let around = max(0, turn + left - world)
      let more = min(rank, around) + min(max(0, rank - turn), left - around)
      return min(fullCount, (each * rank + more) * RAVINE_BLOCK)
    }
    return first(rank)..<first(rank + 1)
  }

  func nextTurn(_ options: Options) -> Int {
    (turn + fullBlocks % options.world) % options.world
  }
}

extension Optimizer {
  /// The elements of a tensor that a rank steps.
  public func shard(_ index: Int, _ rank: Int32) throws(RavineError) -> Range<Int> {
    let tensor = try self.tensor(index)
    guard rank >= 0, rank < options.world else {
      throw .argument("rank is \(rank), but the optimizer has world = \(options.world)")
    }
    return tensor.shard(Int(rank), options.world)
  }

  /// Cuts a new tensor down to what this rank steps of it.
  func share(_ tensor: inout Tensor) {
    guard isSharded else { return }
    tensor.turn = turn
    let own = tensor.shard(options.rank, options.world)
    tensor.count = own.count
    tensor.begin = own.lowerBound
    tensor.drawn = own.lowerBound >> RAVINE_BLOCK_BITS
    tensor.data = tensor.data.map {
      $0 + own.lowerBound * (ElementType.size(tensor.type) ?? 0)
    }
  }

  var isSharded: Bool { options.world > 1 }

  /// What cannot be done with parts of tensors.
  func needsWhole(_ what: Text) -> RavineError {
    RavineError(
      RVN_ERR_UNSUPPORTED,
      "\(what) needs whole tensors, but this optimizer is sharded: rank \(options.rank) of \(options.world)"
    )
  }

  /// The plan for a recipe. One that a shard cannot follow is an error.
  func makePlan(_ recipe: Recipe, checked: Int) throws(RavineError) -> Plan {
    let plan = try Plan.make(recipe, tensors, options.allocator, checked: checked)
    guard isSharded else { return plan }
    for k in 0..<plan.stageCount where plan.stageWork[k].units >= 0 {
      throw needsWhole(try stageName(k, in: recipe.stages))
    }
    for g in 0..<plan.groups.count where plan.groupWork[g].whole {
      throw needsWhole(Text(try plan.groups[g].resolved.rule.declaration.name))
    }
    return plan
  }

  /// Before a phase: 0 for what other ranks measure.
  func clearSums(_ buffers: Buffers) {
    guard isSharded else { return }
    let sums = sums(of: buffers.work.pointee)
    buffers.work.pointee.chainSums.advanced(by: sums.lowerBound)
      .update(repeating: 0, count: sums.count)
  }

  /// After a phase: what all ranks measured.
  func addSums(_ buffers: Buffers) throws(RavineError) {
    guard isSharded, let allSum = options.allSum else { return }
    let sums = sums(of: buffers.work.pointee)
    if sums.isEmpty { return }
    let status = allSum(
      options.allSumUser, buffers.work.pointee.chainSums + sums.lowerBound, sums.count)
    _ = ravine_default_mode()  // whatever the host did to it
    if status == 0 { return }
    if buffers.work.pointee.phase.kind.writes { poisoned = true }
    throw RavineError(RVN_ERR_CALLBACK, "rvn_options.all_sum failed with \(status)")
  }

  /// Which of the sums, counted from chainSums, the phase in progress makes: all lie together.
  private func sums(of work: Work) -> Range<Int> {
    let rules = work.ruleSums - work.chainSums, reports = work.reportSums - work.chainSums
    switch work.phase.kind {
    case .count: return 0..<work.blocks
    case .settle, .probe: return rules..<reports
    case .update, .accumulate, .perturb:
      return reports..<reports + (work.reporting ? 2 * work.blocks : 0)
    case .direct, .restore, .look, .curve: return 0..<0
    case .measure:
      var first = work.phase.ruleMeasures ? rules : reports
      var end = work.phase.ruleMeasures ? reports : 0
      for k in 0..<work.stageCount {
        let stage = work.stages[k]
        guard stage.phase == work.phase.number, stage.measurement >= 0 else { continue }
        first = min(first, stage.column * work.blocks)
        end = max(end, (stage.column + 1) * work.blocks)
      }
      return first..<max(first, end)
    }
  }
}
