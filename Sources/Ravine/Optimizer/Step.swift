import CRavine
import CShims
import Kernels

/// What a step tells.
public struct StepReport {
  public enum Skipped: Int32 { case no, guarded, accumulating, noGradient, perturbed }

  public var step: UInt64 = 0
  public var lr = 0.0
  public var gradNorm = 0.0
  public var clipScale = 1.0
  public var updateNorm = 0.0
  public var nonfinite: UInt64 = 0
  public var skipped = Skipped.no
}

extension Optimizer {
  /// One update of every tensor that has a gradient. `grads`: one for each tensor, or nil for the
  /// bound ones. `reporting`: whether to measure norms. `loss`: of this batch, for a monitor.
  public func step(
    _ grads: UnsafeBufferPointer<UnsafeRawPointer?>? = nil, reporting: Bool = true,
    loss: Double? = nil
  ) throws(RavineError) -> StepReport {
    try checkPoison()
    attachment?.loss = loss
    defer { attachment?.loss = nil }
    if let grads, grads.count != tensors.count {
      throw .argument("grad_count is \(grads.count), but there are \(tensors.count) tensors")
    }
    if plan != nil, !stale { return try preparedStep(grads, reporting) }
    return try preparing { () throws(RavineError) in try preparedStep(grads, reporting) }
  }

  private func preparedStep(_ grads: UnsafeBufferPointer<UnsafeRawPointer?>?, _ reporting: Bool)
    throws(RavineError) -> StepReport
  {
    guard let plan, let buffers else { throw .memory }
    try checkParts(plan)
    buffers.aim()
    let active = try takeGradients(grads, plan)
    return try apply(plan, buffers, active: active, reporting)
  }

  /// One update of the tensors that the buffers are aimed at, with the gradients that were noted.
  func apply(_ plan: Plan, _ buffers: Buffers, active: Bool, _ reporting: Bool)
    throws(RavineError) -> StepReport
  {
    try watch(buffers)
    return try told(try advance(plan, buffers, active: active, reporting), plan, buffers)
  }

  private func advance(_ plan: Plan, _ buffers: Buffers, active: Bool, _ reporting: Bool)
    throws(RavineError) -> StepReport
  {
    var report = try begin(plan)
    guard active else {
      report.skipped = .noGradient
      return report
    }
    try checkCurvature(plan, buffers)
    connect(plan, buffers, reporting)
    try run(0..<plan.phasesBefore, plan, buffers, &report)
    if report.skipped == .no {
      if plan.accumulator == nil {
        try update(from: 0, plan, buffers, &report)
      } else if accumulated + 1 < UInt64(plan.window) {
        try accumulate(plan, buffers, &report)
      } else {
        try closeWindow(of: accumulated + 1, plan, buffers, &report)
      }
    }
    if remembers { scalars?.commit() }
    return report
  }

  /// The phases from one on, the last of which is the update. Where a stage wants a second gradient, the
  /// first call moves the parameters instead.
  func update(
    from first: Int, _ plan: Plan, _ buffers: Buffers, _ report: inout StepReport
  ) throws(RavineError) {
    var first = first
    if let k = plan.perturber {
      if perturbed { readOrigins(plan, k) }
      try run(first..<plan.phasesUnmoved, plan, buffers, &report)
      first = plan.phasesUnmoved
      if report.skipped == .no, !perturbed {
        return try perturb(plan, k, buffers, &report)
      }
    }
    if report.skipped == .no {
      makeConstants(plan, buffers)
      try run(first..<plan.phaseCount, plan, buffers, &report)
    }
    if perturbed, let k = plan.perturber {
      try restore(k, all: report.skipped != .no, buffers)
    }
  }

  /// What holds at the beginning of each step.
  func begin(_ plan: Plan) throws(RavineError) -> StepReport {
    try plan.move(to: Double(step))
    if remembers { scalars?.begin() }
    var report = StepReport()
    report.step = step
    report.lr = plan.rate.pointee
    return report
  }

  /// Some phases in order, the last of them the update or not. A stage may skip the rest.
  func run(
    _ phases: Range<Int>, _ plan: Plan, _ buffers: Buffers, _ report: inout StepReport
  ) throws(RavineError) {
    for k in phases {
      let phase = plan.phases[k]
      if phase.kind == .direct {
        try stepMatrices(phase, k + 1..<phases.upperBound, plan, buffers)
        continue
      }
      try run(phase, buffers)
      if phase.kind == .measure, try conclude(phase, plan, buffers, &report) {
        if phase.number >= plan.phasesBefore { emptyWindow() }
        return
      }
      while phase.kind == .settle, !settle(phase, plan, buffers) { try run(phase, buffers) }
      if phase.kind == .update { try finish(plan, buffers, &report) }
    }
  }

  /// Counts an update that was made.
  private func finish(
    _ plan: Plan, _ buffers: Buffers, _ report: inout StepReport
  ) throws(RavineError) {
    let all = buffers.work.pointee.tensors, part = self.part
    for i in 0..<buffers.work.pointee.tensorCount where all[i].grad != nil {
      all[i].t += 1
      all[i].part = part
      if plan.factored, plan.groupWork[all[i].group].factored, all[i].isFactorable {
        buffers.work.pointee.factors[i].commit(all[i])
      }
    }
    emptyWindow()
    skips = 0
    if buffers.work.pointee.reporting { try measureReport(plan, buffers, &report) }
    count(&report)
  }

  /// Notes this step's gradients; whether there is any.
  @_optimize(speed)
  private func takeGradients(_ grads: UnsafeBufferPointer<UnsafeRawPointer?>?, _ plan: Plan)
    throws(RavineError) -> Bool
  {
    let all = tensors.base.unsafelyUnwrapped
    var active = false
    for i in 0..<tensors.count {
      let grad = grads == nil ? all[i].bound : grads.unsafelyUnwrapped[i]
      guard ElementType.aligned(grad, all[i].givenType) else {
        throw .argument("tensor '\(all[i].text)': its gradient is not aligned to its elements")
      }
      guard grad == nil || !all[i].removed else {
        throw .argument("grads[\(i)] is not NULL, but tensor \(i) was removed")
      }
      all[i].grad = plan.groupWork[all[i].group].rule < 0 ? nil : grad
      if all[i].begin > 0, let grad = all[i].grad {  // of a shard
        all[i].grad = grad + all[i].begin * (ElementType.size(all[i].givenType) ?? 0)
      }
      all[i].gradType = all[i].givenType
      all[i].sum = nil
      all[i].origin = nil
      all[i].first = 0
      if open != nil, all[i].grad != nil { try checkPart(all[i]) }
      active = active || all[i].grad != nil
    }
    return active
  }

  /// Hands the plan to the workers, with the scalars of its stages.
  func connect(_ plan: Plan, _ buffers: Buffers, _ reporting: Bool) {
    makeStageConstants(plan)
    let work = buffers.work
    work.pointee.groups = plan.groupWork
    work.pointee.stages = plan.stageWork
    work.pointee.stageCount = plan.stageCount
    work.pointee.before = plan.before
    work.pointee.prepared = plan.prepared
    work.pointee.transforming = plan.transforming
    work.pointee.reporting = reporting || work.pointee.watch != nil
    work.pointee.step = step
    work.pointee.call = accumulated
    work.pointee.storing = plan.storing.map { plan.facts($0).storing } ?? .plain
    work.pointee.storingStage = plan.storing ?? -1
    for k in 0..<plan.unitStages {
      for i in 0..<tensors.count { work.pointee.units[k * tensors.count + i].clear(tensors[i]) }
    }
    if plan.factored {
      for i in 0..<work.pointee.tensorCount { work.pointee.factors[i].clear() }
    }
  }

  func run(_ phase: Phase, _ buffers: Buffers) throws(RavineError) {
    let work = buffers.work
    work.pointee.phase = phase
    work.pointee.next = 0
    work.pointee.finished = 0
    work.pointee.failure.pointee = HostFailure()
    clearSums(buffers)
    let body: rvn_body = { context, worker in
      runWorker(context.unsafelyUnwrapped.assumingMemoryBound(to: Work.self), worker)
    }
    if buffers.threads == 1 || work.pointee.taskCount == 1 {
      runAlone(UnsafePointer(work))
    } else if let host = options.parallelFor {
      host(options.parallelUser, buffers.threads, body, work)
      if ravine_load(&work.pointee.finished) < buffers.threads {
        poisoned = true
        throw RavineError(
          RVN_ERR_CALLBACK, "the host's parallel_for returned before all its bodies had run")
      }
    } else {
      ravine_parallel(buffers.threads, body, work)
    }
    guard work.pointee.failure.pointee.count == 0 else {
      if phase.kind.writes { poisoned = true }
      throw work.pointee.failure.pointee.error
    }
    try addSums(buffers)
  }
}
