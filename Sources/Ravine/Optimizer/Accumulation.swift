import CRavine
import CShims
import Kernels

extension Optimizer {
  /// Steps for what was accumulated since the last step.
  public func flush(reporting: Bool = true) throws(RavineError) -> StepReport {
    try checkPoison()
    try checkClosed()
    if stale { try prepare() }
    let plan = try prepared()
    guard let buffers else { throw .memory }
    guard plan.accumulator != nil else {
      throw .state("the recipe accumulates nothing: write accumulate(8) | before its rule")
    }
    buffers.aim()
    try watch(buffers)
    var report = try begin(plan)
    let all = tensors.base.unsafelyUnwrapped
    for i in 0..<tensors.count {
      all[i].grad = nil
      all[i].origin = nil
    }
    guard accumulated > 0 else {
      report.skipped = .noGradient
      return try told(report, plan, buffers)
    }
    connect(plan, buffers, reporting)
    try closeWindow(of: accumulated, plan, buffers, &report)
    scalars?.commit()
    return try told(report, plan, buffers)
  }

  /// A call whose gradients are only added up.
  func accumulate(_ plan: Plan, _ buffers: Buffers, _ report: inout StepReport)
    throws(RavineError)
  {
    try run(Phase(kind: .accumulate, number: 0, stage: plan.accumulator ?? 0), buffers)
    accumulated += 1
    let all = tensors.base.unsafelyUnwrapped
    for i in 0..<tensors.count where all[i].grad != nil { all[i].accumulated += 1 }
    report.skipped = .accumulating
    if buffers.work.pointee.reporting { try measureReport(plan, buffers, &report) }
  }

  /// The step for what so many calls brought.
  func closeWindow(
    of count: UInt64, _ plan: Plan, _ buffers: Buffers, _ report: inout StepReport
  ) throws(RavineError) {
    guard let k = plan.accumulator else { return }
    takeAccumulated(plan, k)
    plan.stageWork[k].factor = plan.windowFactor(count)
    try update(from: plan.phasesBefore, plan, buffers, &report)
  }

  func emptyWindow() {
    guard accumulated > 0 else { return }
    accumulated = 0
    let all = tensors.base.unsafelyUnwrapped
    for i in 0..<tensors.count { all[i].accumulated = 0 }
  }

  /// What was accumulated is added to the gradients of this step, or stands in their place.
  private func takeAccumulated(_ plan: Plan, _ k: Int) {
    let all = tensors.base.unsafelyUnwrapped
    for i in 0..<tensors.count where all[i].accumulated > 0 {
      let group = plan.groupWork[all[i].group]
      // Without elements it has no array, but a gradient all the same: a shard may be empty.
      let sum =
        all[i].slots.unsafelyUnwrapped[group.slots + plan.stageWork[k].slot]
        ?? UnsafeMutableRawPointer(bitPattern: 64)
      if all[i].grad == nil {
        all[i].grad = UnsafeRawPointer(sum)
        all[i].gradType = all[i].laneType
        all[i].first = k
      } else {
        all[i].sum = sum
      }
    }
  }
}

extension Piece {
  /// Adds a gradient to what was accumulated; the first of a window takes its place.
  func accumulate(_ block: Int) {
    let k = work.pointee.phase.stage, padded = (length(block) + 15) & ~15
    if let sums = reportSums(block) { measureGradient(block, before: k, sums) }
    let (g, factor) = gradient(block, upTo: k)
    let slot = group.pointee.slots + work.pointee.stages[k].slot
    guard let sum = tensor.pointee.slots.unsafelyUnwrapped[slot] else { return }
    let place = sum + block * RAVINE_BLOCK * tensor.pointee.lane
    if tensor.pointee.accumulated == 0 {
      scale(g, factor, place, padded)
    } else {
      add(g, factor, k, UnsafeRawPointer(place), place, padded)
    }
    countBytes(length(block) * tensor.pointee.lane * (tensor.pointee.accumulated == 0 ? 1 : 2))
  }

  /// A gradient and what was accumulated before it, by stage k.
  func add(
    _ g: UnsafeRawPointer, _ factor: Double, _ k: Int, _ sum: UnsafeRawPointer,
    _ out: UnsafeMutableRawPointer, _ padded: Int
  ) {
    work.pointee.kernels.stage[2 * work.pointee.stages[k].row + wide].unsafelyUnwrapped(
      stageConstants(k), g, sum, factor, out, padded)
  }
}
